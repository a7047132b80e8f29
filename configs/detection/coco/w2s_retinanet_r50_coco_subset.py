# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# configs/w2s_retinanet_coco.py on a small subset of COCO: the teacher's run
# with a ResNet-50 instead. Its baseline is this config with tools/train.py
# --no-distill.
_base_ = 'retinanet_r18_coco_subset.py'

model = dict(
    backbone=dict(depth=50), neck=dict(in_channels=[256, 512, 1024, 2048]))
default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        distill=dict(full={}),
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r18_coco_subset.py',
            checkpoint='work_dirs/retinanet_r18_coco_subset/iter_400.pth'),
        # In so short a run mAP is too coarse to compare: it is rounded to
        # 0.001.
        stop=dict(type='SurpassTeacher', metric='coco/bbox_mAP_50')))
