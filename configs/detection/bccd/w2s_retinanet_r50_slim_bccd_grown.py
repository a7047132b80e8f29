# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins as its whole teacher, grown to its own size, and learns
# its features. It is trained for 13 epochs instead of 20, with a quarter of
# the warm-up and half the learning rate: a higher one undoes what it begins
# with. With distill=[] and lr=1e-3 it is later and ends higher.
# The full baseline is w2s_retinanet_r50_slim_bccd.py with --no-distill.
_base_ = 'w2s_retinanet_r50_slim_bccd_started.py'

optim_wrapper = dict(optimizer=dict(lr=5e-4))

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r14_half_slim_bccd.py',
            checkpoint='work_dirs/retinanet_r14_half_slim_bccd/epoch_10.pth'),
        start=dict(type='Grow')))
