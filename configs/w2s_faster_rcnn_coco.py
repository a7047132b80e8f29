# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Faster R-CNN-R50-FPN, helped through the first part of its training by the
# weaker Faster R-CNN-R18-FPN, which is trained before:
#
#   bash tools/dist_train.sh configs/paper/faster_rcnn_r18_coco.py 8
#
# All the rest is mmdet's own config; its baseline is this config with
# tools/train.py --no-distill.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

custom_hooks = [
    dict(
        type='WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/paper/faster_rcnn_r18_coco.py',
            checkpoint='work_dirs/faster_rcnn_r18_coco/epoch_12.pth'),
        distill=[
            dict(
                knowledge=dict(type='FPNFeatures'),
                loss=dict(type='PKDLoss', loss_weight=6.)),
            dict(
                knowledge=dict(type='RPNOutputs'),
                loss=dict(type='QualityFocalKDLoss', loss_weight=1.)),
            # The teacher's opinion of the student's own proposals.
            dict(
                knowledge=dict(type='RoIHeadOutputs'),
                loss=dict(type='KDLoss', temperature=1., loss_weight=1.)),
        ],
        # Warm-up, full strength up to 15 % of the run, 0 at 30 %.
        schedule=dict(
            type='WarmupHoldDecay',
            warmup=0.02,
            hold=0.13,
            decay=0.15,
            unit='run'),
        # For good when the student has beaten the teacher in two validations
        # on end, and after half of the run in any case.
        stop=dict(
            type='SurpassTeacher',
            metric='coco/bbox_mAP',
            consecutive=2,
            latest=0.5)),
    # The zoo states 0.374 for the baseline.
    dict(
        type='TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.20, 0.25, 0.30, 0.33, 0.36]}),
]
