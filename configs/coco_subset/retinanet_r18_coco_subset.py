# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of the subset, trained on the same images.
_base_ = './w2s_retinanet_r50_coco_subset.py'

custom_hooks = _base_.custom_hooks[1:]
model = dict(
    backbone=dict(depth=18), neck=dict(in_channels=[64, 128, 256, 512]))
train_cfg = dict(max_iters=400)
