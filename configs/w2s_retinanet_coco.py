# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# RetinaNet-R50-FPN, helped through the first part of its training by the
# weaker RetinaNet-R18-FPN of mmdet's model zoo. All the rest is mmdet's own
# config; its baseline is this config with tools/train.py --no-distill.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

custom_hooks = [
    dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
            checkpoint='auto'),  # the zoo's own weights
        distill=[
            dict(
                knowledge=dict(type='FPNFeatures'),
                loss=dict(type='PKDLoss', loss_weight=10.)),
            dict(
                knowledge=dict(type='DenseHeadOutputs'),
                loss=dict(type='QualityFocalKDLoss', loss_weight=1.)),
        ],
        # Warm-up, full strength up to 15 % of the run, 0 at 30 %.
        schedule=dict(
            type='WarmupHoldDecay',
            warmup=0.02,
            hold=0.13,
            decay=0.15,
            unit='run'),
        # For good when the student has beaten the teacher in two consecutive
        # validations, and after half of the run in any case.
        stop=dict(
            type='SurpassTeacher',
            metric='coco/bbox_mAP',
            consecutive=2,
            latest=0.5)),
    # The zoo states 0.317 for the teacher and 0.365 for the baseline.
    dict(
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.20, 0.25, 0.30, 0.33, 0.36]}),
]
