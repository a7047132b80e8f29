# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of w2s_resnet18-slim_1xb128_cifar100.py: three stages, not
# four, of a quarter of the width, and a short schedule.
_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/datasets/cifar100_bs128.py',
    '../_base_/schedules/cifar10_30e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        num_stages=3,
        strides=(2, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, ),
        stem_channels=16,
        base_channels=16),
    head=dict(num_classes=100, in_channels=64))

max_epochs = 10
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=-1),
    channels_last=dict(type='ChannelsLastHook'),
    time_to_target=dict(type='TimeToTargetHook'))
randomness = dict(seed=0)
