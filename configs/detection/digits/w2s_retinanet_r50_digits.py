# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student of the quick start: a ResNet-50 of half the width, from scratch.
# Its baseline is this config with tools/train.py --no-distill.
_base_ = [
    '../../_base_/models/retinanet_r50_digits.py',
    '../../_base_/datasets/digit_scenes.py',
    '../../_base_/schedules/adamw_20e.py', 'mmdet::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

default_hooks = dict(
    channels_last=dict(type='ChannelsLastHook'),
    checkpoint=dict(max_keep_ckpts=2),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r18_digits.py',
            checkpoint='work_dirs/quickstart/teacher/epoch_8.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.2, 0.3, 0.4, 0.5]}))
randomness = dict(seed=1)
