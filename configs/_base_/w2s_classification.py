# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Only the hooks, for a classifier with a softmax head. A config that inherits
# this piece beside its own gives them their values, e.g.:
#
#   _base_ = ['my_resnet50.py',
#             __import__('mmw2s').config('_base_/w2s_classification.py')]
#   custom_hooks = _base_.custom_hooks
#   custom_hooks[0].teacher = dict(config='my_teacher.py', checkpoint='t.pth')
#   custom_hooks[1].targets = {'accuracy/top1': [65.]}

custom_hooks = [
    dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='mmpretrain::resnet/resnet18_8xb32_in1k.py',
            checkpoint='auto'),  # the zoo's own weights
        distill=[
            dict(
                knowledge=dict(type='ClassLogits'),
                loss=dict(type='KDLoss', loss_weight=3.),
                # Soft targets first: the temperature falls with the strength.
                temperature=dict(
                    type='Linear', start=6., end=1., length=0.5, unit='run')),
        ],
        # Warm-up, full strength up to 20 % of the run, 0 at 50 %.
        schedule=dict(
            type='WarmupHoldDecay',
            warmup=0.02,
            hold=0.18,
            decay=0.3,
            unit='run'),
        # For good when the student has beaten the teacher in two consecutive
        # validations, and after half of the run in any case.
        stop=dict(
            type='SurpassTeacher',
            metric='accuracy/top1',
            consecutive=2,
            latest=0.5)),
    # No targets yet: it notes the times and all metrics of each validation.
    dict(type='mmw2s.TimeToTargetHook'),
]
