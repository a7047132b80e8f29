# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# RetinaNet for the scenes of digits: the slim one at half its width, on three
# levels.
_base_ = 'retinanet_r50_slim.py'

model = dict(
    backbone=dict(base_channels=32),
    neck=dict(in_channels=[128, 256, 512, 1024], out_channels=64, num_outs=3),
    bbox_head=dict(
        num_classes=10,
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(octave_base_scale=2, strides=[8, 16, 32])))
