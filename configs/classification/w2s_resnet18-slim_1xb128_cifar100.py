# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A ResNet-18 of half the width, whose first stage halves the image already,
# from scratch on CIFAR-100, on a CPU. Its baseline is this config with
# tools/train.py --no-distill.
_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/datasets/cifar100_bs128.py',
    '../_base_/schedules/cifar10_30e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(
    backbone=dict(strides=(2, 2, 2, 2), stem_channels=32, base_channels=32),
    head=dict(num_classes=100, in_channels=256))

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    channels_last=dict(type='ChannelsLastHook'),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/resnet14-slim_1xb128_cifar100.py',
            checkpoint='work_dirs/resnet14-slim_1xb128_cifar100/epoch_10.pth')
    ),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [20., 30., 40., 50., 55.]}))
randomness = dict(seed=0)
