# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student. Its baseline is this config with tools/train.py --no-distill;
# its teacher, retinanet_r18_slim_bccd.py, is trained before.
_base_ = [
    '../_base_/models/retinanet_r50_slim.py',
    '../_base_/datasets/bccd_detection.py', '../_base_/schedules/adamw_20e.py',
    '../_base_/w2s_one_stage.py', 'mmdet::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(bbox_head=dict(num_classes=3))

custom_hooks = _base_.custom_hooks
custom_hooks[0].teacher = dict(
    config='{{ fileDirname }}/retinanet_r18_slim_bccd.py',
    checkpoint='work_dirs/retinanet_r18_slim_bccd/epoch_10.pth')
custom_hooks[1].targets = {'coco/bbox_mAP': [0.30, 0.35, 0.40, 0.44]}

default_hooks = dict(
    channels_last=dict(type='ChannelsLastHook'),
    logger=dict(interval=13),
    checkpoint=dict(max_keep_ckpts=2, save_best='coco/bbox_mAP'))
randomness = dict(seed=0)
