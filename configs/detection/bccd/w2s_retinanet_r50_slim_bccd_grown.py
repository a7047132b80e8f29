# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins as its whole teacher, grown to its own size, and nothing
# is distilled. It is trained for 13 epochs instead of 20, with a quarter of
# the warm-up. Early targets come sooner with lr=5e-4, distill=None, which
# teaches the features too, and retinanet_r14_half_slim_bccd.py as the teacher,
# and the end is lower.
# The full baseline is w2s_retinanet_r50_slim_bccd.py with --no-distill.
_base_ = 'w2s_retinanet_r50_slim_bccd_started.py'

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r14_narrow_slim_bccd.py',
            checkpoint='work_dirs/retinanet_r14_narrow_slim_bccd/epoch_6.pth'),
        start=dict(type='Grow'),
        distill=[]))
