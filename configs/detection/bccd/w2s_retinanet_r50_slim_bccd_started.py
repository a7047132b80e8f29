# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins with weights of its teacher, learns its features, and is
# trained for 13 epochs instead of 20, with a quarter of the warm-up. The full
# baseline is w2s_retinanet_r50_slim_bccd.py with tools/train.py --no-distill.
_base_ = 'w2s_retinanet_r50_slim_bccd.py'

max_epochs = 13
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 13
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r18_half_slim_bccd.py',
            checkpoint='work_dirs/retinanet_r18_half_slim_bccd/epoch_10.pth'),
        start=dict(type='Inherit')))
