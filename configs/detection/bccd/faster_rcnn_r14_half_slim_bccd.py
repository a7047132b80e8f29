# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A cheaper teacher, out of which the student can grow: bottlenecks, one block
# a stage, half the student's width, trained on half as many RoIs (which take
# most of its time) for 7 epochs, and validated at the end alone.
_base_ = 'faster_rcnn_r18_slim_bccd.py'

model = dict(
    backbone=dict(
        type='ShallowResNet',
        depth=50,
        blocks=(1, 1, 1, 1),
        stem_channels=32,
        base_channels=16),
    neck=dict(in_channels=[64, 128, 256, 512]),
    train_cfg=dict(rcnn=dict(sampler=dict(num=64))))

max_epochs = 7
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=26)
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
