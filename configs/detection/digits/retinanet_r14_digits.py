# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A cheaper teacher, out of which the quick start's student can grow: one of
# its blocks a stage, half its width, and 6 epochs instead of 8.
_base_ = 'retinanet_r18_digits.py'

model = dict(
    backbone=dict(
        type='ShallowResNet',
        depth=50,
        blocks=(1, 1, 1, 1),
        stem_channels=16,
        base_channels=16),
    neck=dict(in_channels=[64, 128, 256, 512]))

max_epochs = 6
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
