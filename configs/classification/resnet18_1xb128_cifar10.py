# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of the CIFAR-10 students for a GPU: a short schedule.
_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/datasets/cifar10_bs128.py',
    '../_base_/schedules/cifar10_30e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

train_dataloader = dict(num_workers=4)
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=-1),
    channels_last=dict(type='ChannelsLastHook'),
    time_to_target=dict(type='TimeToTargetHook'))
randomness = dict(seed=0)
