# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Faster R-CNN-R50-FPN, helped through the first part of its training by the
# weaker Faster R-CNN-R18-FPN, which is trained before:
#
#   bash tools/dist_train.sh configs/detection/coco/faster_rcnn_r18_coco.py 8
#
# All the rest is mmdet's own config; its baseline is this config with
# tools/train.py --no-distill.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

# The zoo states 0.374 for the baseline.
default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        distill=dict(full={}),  # features and scores, as in the paper
        teacher=dict(
            config='{{ fileDirname }}/detection/coco/faster_rcnn_r18_coco.py',
            checkpoint='work_dirs/faster_rcnn_r18_coco/epoch_12.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.20, 0.25, 0.30, 0.33, 0.36]}))
