# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Faster R-CNN-R101-FPN <- Faster R-CNN-R50-FPN. The teacher is of mmdet's
# model zoo: nothing has to be trained before.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py'

# The zoo states 0.374 for the teacher and 0.394 for the baseline.
default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        distill=dict(full={}),  # features and scores, as in the paper
        teacher=dict(
            config='mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
            checkpoint='auto')),  # the zoo's own weights
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.20, 0.25, 0.30, 0.35, 0.39]}))
