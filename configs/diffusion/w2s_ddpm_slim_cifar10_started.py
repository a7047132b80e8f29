# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins as its teacher after half of the teacher's run, grown to
# the student's size, with a quarter of the warm-up. Nothing is distilled. The
# run is as long as that of w2s_ddpm_slim_cifar10.py, which with
# tools/train.py --no-distill is the baseline of both.
_base_ = 'w2s_ddpm_slim_cifar10.py'

param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 12

default_hooks = dict(
    w2s=dict(
        teacher=dict(checkpoint='work_dirs/ddpm_slim_cifar10/iter_500.pth'),
        distill=[],
        start=dict(type='Grow')))
