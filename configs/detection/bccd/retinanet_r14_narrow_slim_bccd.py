# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A teacher that costs less than one and a half epochs of the student that
# grows out of it: half the width in neck and head too, and 6 epochs.
_base_ = 'retinanet_r14_half_slim_bccd.py'

model = dict(
    neck=dict(out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64))

max_epochs = 6
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
