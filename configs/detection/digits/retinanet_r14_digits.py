# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A cheaper teacher, out of which the quick start's student can grow: one of
# its blocks a stage, half its width, images of three quarters of the size, and
# 5 epochs instead of 8. Its anchors shrink with the digits.
_base_ = 'retinanet_r18_digits.py'

model = dict(
    backbone=dict(
        type='ShallowResNet',
        depth=50,
        blocks=(1, 1, 1, 1),
        stem_channels=16,
        base_channels=16),
    neck=dict(in_channels=[64, 128, 256, 512]),
    bbox_head=dict(anchor_generator=dict(octave_base_scale=1.5)))

size = (96, 96)
train_pipeline = _base_.train_pipeline
train_pipeline.insert(2, dict(type='Resize', scale=size, keep_ratio=True))
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=size)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_epochs = 5
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
