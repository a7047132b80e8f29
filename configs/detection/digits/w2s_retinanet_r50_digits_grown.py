# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student of the quick start begins as its whole teacher, grown to its own
# size, and has 5 epochs instead of 8. Nothing is distilled: students that
# grew ended higher so. Its baseline is the other config's --no-distill.
_base_ = 'w2s_retinanet_r50_digits.py'

max_epochs = 5
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 13
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r14_digits.py',
            checkpoint='work_dirs/quickstart/small_teacher/epoch_5.pth'),
        start=dict(type='Grow'),
        distill=[]))
