# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A ResNet-18 of a quarter of the width, whose first stage halves the image
# already, from scratch on CIFAR-10: about 15 seconds an epoch on one core of a
# CPU. Its baseline is this config with tools/train.py --no-distill.
_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/datasets/cifar10_bs128.py',
    '../_base_/schedules/cifar10_30e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

model = dict(
    backbone=dict(strides=(2, 2, 2, 2), stem_channels=16, base_channels=16),
    head=dict(in_channels=128))

# 20 epochs of 390 iterations, validated every half epoch.
max_iters = 7800
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=195)
param_scheduler = _base_.param_scheduler
param_scheduler[1] = dict(
    type='CosineAnnealingLR',
    eta_min=0.,
    by_epoch=False,
    begin=0,
    T_max=max_iters,
    end=max_iters)

log_processor = dict(by_epoch=False)
default_hooks = dict(
    checkpoint=dict(
        by_epoch=False, interval=max_iters // 10, max_keep_ckpts=1),
    channels_last=dict(type='ChannelsLastHook'),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/resnet14-slim_1xb128_cifar10.py',
            checkpoint='work_dirs/resnet14-slim_1xb128_cifar10/epoch_10.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [60., 65., 70., 75., 80.]}))
randomness = dict(seed=0)
