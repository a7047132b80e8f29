# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The cheaper teacher of retinanet_r18_half_slim_bccd.py, at half the size once
# more.
_base_ = 'retinanet_r18_slim_bccd_160.py'

model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256]))

max_epochs = 10
train_cfg = dict(val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=26)
