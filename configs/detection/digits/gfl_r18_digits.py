# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of w2s_gfl_r50_digits_600it.py: a ResNet-18 of half the
# width.
_base_ = [
    '../../_base_/models/gfl_r50_digits.py',
    '../../_base_/datasets/digit_scenes.py',
    '../../_base_/schedules/adamw_20e.py', 'mmdet::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(
    backbone=dict(depth=18), neck=dict(in_channels=[32, 64, 128, 256]))

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

default_hooks = dict(
    channels_last=dict(type='ChannelsLastHook'),
    checkpoint=dict(max_keep_ckpts=2),
    time_to_target=dict(type='TimeToTargetHook'))
randomness = dict(seed=1)
