# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student. Its baseline is this config with tools/train.py --no-distill;
# its teacher, faster_rcnn_r18_slim_bccd.py, is trained before.
_base_ = [
    '../../_base_/models/faster_rcnn_r50_slim.py',
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/adamw_20e.py', 'mmdet::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))

# mmcv has no RoIAlign in bfloat16.
optim_wrapper = dict(type='OptimWrapper')

# 12 epochs of 26 iterations, validated every half epoch.
max_iters = 312
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=13)
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
    logger=dict(interval=13),
    checkpoint=dict(
        by_epoch=False,
        interval=78,
        max_keep_ckpts=1,
        save_best='coco/bbox_mAP'),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/faster_rcnn_r18_slim_bccd.py',
            checkpoint='work_dirs/faster_rcnn_r18_slim_bccd/epoch_10.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.30, 0.35, 0.40, 0.44]}))
randomness = dict(seed=0)
