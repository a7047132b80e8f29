# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A ResNet-18 of a quarter of the width, from scratch on CIFAR-10: about a
# minute an epoch on one core of a CPU. Its baseline is this config with
# tools/train.py --no-distill.
_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/datasets/cifar10_bs128.py',
    '../_base_/schedules/cifar10_30e.py', '../_base_/w2s_classification.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

model = dict(
    backbone=dict(stem_channels=16, base_channels=16),
    head=dict(in_channels=128))

custom_hooks = _base_.custom_hooks + [dict(type='ChannelsLastHook')]
custom_hooks[0].teacher = dict(
    config='{{ fileDirname }}/resnet14-slim_1xb128_cifar10.py',
    checkpoint='work_dirs/cifar10/teacher_s0/epoch_10.pth')
custom_hooks[1].targets = {'accuracy/top1': [60., 70., 80., 85., 88.]}
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
randomness = dict(seed=0)
