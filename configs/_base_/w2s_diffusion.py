# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Only the hooks, for a diffusion model. A config that inherits this piece
# beside its own gives them their values, e.g.:
#
#   _base_ = ['my_ddpm.py',
#             __import__('mmw2s').config('_base_/w2s_diffusion.py')]
#   custom_hooks = _base_.custom_hooks
#   custom_hooks[0].teacher = dict(config='my_teacher.py', checkpoint='t.pth')
#   custom_hooks[1].targets = {'diffusion/fid_10k_ddim50': [60.]}

custom_hooks = [
    dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(config='my_teacher.py', checkpoint='my_teacher.pth'),
        distill=[
            # What the teacher makes of the same noisy images.
            dict(
                knowledge=dict(type='Denoising'),
                loss=dict(type='MSEKDLoss', loss_weight=1.)),
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
            metric='diffusion/denoising_mse',
            consecutive=2,
            latest=0.5)),
    # No targets yet: it notes the times and all metrics of each validation.
    dict(type='mmw2s.TimeToTargetHook'),
]
