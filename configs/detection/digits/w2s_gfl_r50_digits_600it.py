# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# GFL on scenes of digits in 4 epochs by iterations, validated every half
# epoch. Its head gives distributions of edges, so LD can be tried on it.
_base_ = [
    '../../_base_/models/gfl_r50_digits.py',
    '../../_base_/datasets/digit_scenes.py',
    '../../_base_/schedules/adamw_20e.py', 'mmdet::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

max_iters = 600
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=75)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
param_scheduler = _base_.param_scheduler
param_scheduler[1] = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.05,
    by_epoch=False,
    begin=0,
    T_max=max_iters,
    end=max_iters)
log_processor = dict(by_epoch=False)

default_hooks = dict(
    channels_last=dict(type='ChannelsLastHook'),
    checkpoint=dict(by_epoch=False, interval=max_iters, max_keep_ckpts=1),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/gfl_r18_digits.py',
            checkpoint='work_dirs/gfl_r18_digits/epoch_4.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.1, 0.2, 0.3]}))
randomness = dict(seed=1)
