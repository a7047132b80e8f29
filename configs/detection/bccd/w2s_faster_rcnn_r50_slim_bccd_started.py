# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins with weights of its teacher, which learned on images of
# half the size, nothing is distilled, and it is trained for 8 epochs (of 26
# iterations) instead of 12, with a quarter of the warm-up. The full baseline
# is w2s_faster_rcnn_r50_slim_bccd.py with tools/train.py --no-distill.
_base_ = 'w2s_faster_rcnn_r50_slim_bccd.py'

max_iters = 208
train_cfg = dict(max_iters=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 13
param_scheduler[1].update(T_max=max_iters, end=max_iters)

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/faster_rcnn_r18_slim_bccd_160.py',
            checkpoint='work_dirs/faster_rcnn_r18_slim_bccd_160/epoch_10.pth'),
        start=dict(type='Inherit'),
        distill=[]))
