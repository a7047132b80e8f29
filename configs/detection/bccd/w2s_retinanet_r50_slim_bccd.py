# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student. Its baseline is this config with tools/train.py --no-distill;
# its teacher, retinanet_r18_slim_bccd.py, is trained before.
_base_ = [
    '../../_base_/models/retinanet_r50_slim.py',
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/adamw_20e.py', 'mmdet::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(bbox_head=dict(num_classes=3))

default_hooks = dict(
    channels_last=dict(type='ChannelsLastHook'),
    logger=dict(interval=13),
    checkpoint=dict(max_keep_ckpts=2, save_best='coco/bbox_mAP'),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r18_slim_bccd.py',
            checkpoint='work_dirs/retinanet_r18_slim_bccd/epoch_10.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.30, 0.35, 0.40, 0.44]}))
randomness = dict(seed=0)
