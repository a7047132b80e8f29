# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Faster R-CNN-R50-FPN, helped through the first part of its training by the
# weaker Faster R-CNN-R18-FPN, which is trained before:
#
#   bash tools/dist_train.sh configs/paper/faster_rcnn_r18_coco.py 8
#
# All the rest is mmdet's own config; its baseline is this config with
# tools/train.py --no-distill.
_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    './_base_/w2s_two_stage.py'
]

custom_hooks = _base_.custom_hooks
custom_hooks[0].teacher = dict(
    config='{{ fileDirname }}/paper/faster_rcnn_r18_coco.py',
    checkpoint='work_dirs/faster_rcnn_r18_coco/epoch_12.pth')
# The zoo states 0.374 for the baseline.
custom_hooks[1].targets = {'coco/bbox_mAP': [0.20, 0.25, 0.30, 0.33, 0.36]}
