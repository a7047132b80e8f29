# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins as its whole teacher, grown to its own size, and nothing
# is distilled. It is trained for 8 epochs (of 26 iterations) instead of 12,
# with a quarter of the warm-up. Early targets come sooner with lr=7e-4,
# distill=None, which teaches the features too, and
# faster_rcnn_r14_half_slim_bccd.py as the teacher, and the end is lower.
# The full baseline is w2s_faster_rcnn_r50_slim_bccd.py with --no-distill.
_base_ = 'w2s_faster_rcnn_r50_slim_bccd_started.py'

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/faster_rcnn_r14_narrow_slim_bccd.py',
            checkpoint='work_dirs/faster_rcnn_r14_narrow_slim_bccd/epoch_5.pth'
        ),
        start=dict(type='Grow')))
