# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A cheaper teacher, out of which the student can grow: a ResNet of bottlenecks
# with one block a stage and half the width, validated at the end alone. Neck
# and head are the student's.
_base_ = 'retinanet_r18_slim_bccd.py'

model = dict(
    backbone=dict(
        type='ShallowResNet',
        depth=50,
        blocks=(1, 1, 1, 1),
        stem_channels=32,
        base_channels=32),
    neck=dict(in_channels=[128, 256, 512, 1024]))

max_epochs = 10
train_cfg = dict(val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=26)
