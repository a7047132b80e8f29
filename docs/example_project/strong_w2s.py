# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# All that mmw2s adds to the project.
_base_ = 'strong.py'

default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='weak.py', checkpoint='work_dirs/weak/epoch_12.pth')))
