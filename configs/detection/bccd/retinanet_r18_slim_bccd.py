# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher: a ResNet-18, and half as many epochs.
_base_ = [
    '../../_base_/models/retinanet_r50_slim.py',
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/adamw_20e.py', 'mmdet::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(
    backbone=dict(depth=18),
    neck=dict(in_channels=[64, 128, 256, 512]),
    bbox_head=dict(num_classes=3))

max_epochs = 10
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

default_hooks = dict(
    channels_last=dict(type='ChannelsLastHook'),
    logger=dict(interval=13),
    checkpoint=dict(max_keep_ckpts=2, save_best='coco/bbox_mAP'),
    time_to_target=dict(
        type='TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.30, 0.35, 0.40, 0.44]}))
randomness = dict(seed=0)
