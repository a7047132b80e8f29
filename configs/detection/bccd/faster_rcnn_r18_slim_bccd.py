# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher: a ResNet-18, for 10 epochs.
_base_ = [
    '../../_base_/models/faster_rcnn_r50_slim.py',
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/adamw_20e.py', 'mmdet::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(
    backbone=dict(depth=18),
    neck=dict(in_channels=[32, 64, 128, 256]),
    roi_head=dict(bbox_head=dict(num_classes=3)))

# mmcv has no RoIAlign in bfloat16.
optim_wrapper = dict(type='OptimWrapper')
max_epochs = 10
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

default_hooks = dict(
    logger=dict(interval=13),
    checkpoint=dict(max_keep_ckpts=-1),  # to choose from
    time_to_target=dict(
        type='TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.30, 0.35, 0.40, 0.44]}))
randomness = dict(seed=0)
