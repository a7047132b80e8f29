# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# RetinaNet for small images and a CPU, trained from scratch: half the channels
# and half the convolutions of the usual one, GN in neck and head.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

norm_cfg = dict(type='GN', num_groups=32, requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(out_channels=128, norm_cfg=norm_cfg),
    bbox_head=dict(
        in_channels=128, stacked_convs=2, feat_channels=128,
        norm_cfg=norm_cfg))
