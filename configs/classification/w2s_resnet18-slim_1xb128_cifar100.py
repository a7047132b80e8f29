# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A ResNet-18 of half the width, whose first stage halves the image already,
# from scratch on CIFAR-100, on a CPU. Its baseline is this config with
# tools/train.py --no-distill.
_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/datasets/cifar100_bs128.py',
    '../_base_/schedules/cifar10_30e.py', '../_base_/w2s_classification.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(
    backbone=dict(strides=(2, 2, 2, 2), stem_channels=32, base_channels=32),
    head=dict(num_classes=100, in_channels=256))

custom_hooks = _base_.custom_hooks + [dict(type='ChannelsLastHook')]
custom_hooks[0].teacher = dict(
    config='{{ fileDirname }}/resnet14-slim_1xb128_cifar100.py',
    checkpoint='work_dirs/resnet14-slim_1xb128_cifar100/epoch_10.pth')
custom_hooks[1].targets = {'accuracy/top1': [20., 30., 40., 50., 55.]}
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
randomness = dict(seed=0)
