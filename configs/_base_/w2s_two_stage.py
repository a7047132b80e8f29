# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Only the hooks, for a two-stage detector. A config that inherits this piece
# beside its own gives them their values, e.g.:
#
#   _base_ = ['my_faster_rcnn.py',
#             __import__('mmw2s').config('_base_/w2s_two_stage.py')]
#   custom_hooks = _base_.custom_hooks
#   custom_hooks[0].teacher = dict(config='my_teacher.py', checkpoint='t.pth')
#   custom_hooks[1].targets = {'coco/bbox_mAP': [0.3]}

custom_hooks = [
    dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
            checkpoint='auto'),  # the zoo's own weights
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
        # For good when the student has beaten the teacher in two consecutive
        # validations, and after half of the run in any case.
        stop=dict(
            type='SurpassTeacher',
            metric='coco/bbox_mAP',
            consecutive=2,
            latest=0.5)),
    # No targets yet: it notes the times and all metrics of each validation.
    dict(type='mmw2s.TimeToTargetHook'),
]
