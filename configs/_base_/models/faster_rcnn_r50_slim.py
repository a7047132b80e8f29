# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Faster R-CNN for small images and a CPU, trained from scratch: half the
# channels of the usual backbone and neck and a quarter of its RoI head, GN in
# the neck, no level below stride 8, a quarter of the RoIs.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

model = dict(
    backbone=dict(
        base_channels=32, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(
        in_channels=[128, 256, 512, 1024],
        out_channels=128,
        start_level=1,
        norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
        num_outs=4),
    rpn_head=dict(
        in_channels=128,
        feat_channels=128,
        anchor_generator=dict(
            scales=None,
            octave_base_scale=3,
            scales_per_octave=2,
            strides=[8, 16, 32, 64])),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=2),
            out_channels=128,
            featmap_strides=[8, 16, 32],
            finest_scale=28),
        bbox_head=dict(in_channels=128, fc_out_channels=256)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=500),
        rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(max_per_img=500)))
