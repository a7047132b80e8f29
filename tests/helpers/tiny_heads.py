# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Tiny detectors of every kind of dense head, on two classes."""
import copy

from toys import retinanet

RETINA = retinanet(18, channels=8)
COMMON = dict(num_classes=2, in_channels=8, feat_channels=8, stacked_convs=1)
SQUARE = dict(
    type='AnchorGenerator',
    ratios=[1.0],
    octave_base_scale=8,
    scales_per_octave=1,
    strides=[8, 16, 32])
GN = dict(type='GN', num_groups=2)
RANGES = ((-1, 16), (16, 32), (32, 1e8))


def detector(kind, head, **fields):
    return dict(RETINA, type=kind, bbox_head=dict(COMMON, **head), **fields)


ATSS_CFG = dict(
    assigner=dict(type='ATSSAssigner', topk=9),
    allowed_border=-1,
    pos_weight=-1,
    debug=False)
FCOS = detector(
    'FCOS',
    dict(
        type='FCOSHead',
        strides=[8, 16, 32],
        norm_cfg=GN,
        norm_on_bbox=True,
        regress_ranges=RANGES),
    train_cfg=None)
ATSS = detector(
    'ATSS',
    dict(
        type='ATSSHead',
        anchor_generator=SQUARE,
        norm_cfg=GN,
        bbox_coder=dict(type='DeltaXYWHBBoxCoder')),
    train_cfg=ATSS_CFG)
GFL = detector(
    'GFL',
    dict(
        type='GFLHead',
        anchor_generator=SQUARE,
        norm_cfg=GN,
        reg_max=4,
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True)),
    train_cfg=ATSS_CFG)
TOOD = detector(
    'TOOD',
    dict(
        type='TOODHead',
        anchor_generator=SQUARE,
        norm_cfg=GN,
        num_dcn=0,
        anchor_type='anchor_free',
        initial_loss_cls=dict(
            type='FocalLoss',
            use_sigmoid=True,
            activated=True,
            gamma=2.0,
            alpha=0.25),
        loss_cls=dict(
            type='QualityFocalLoss', use_sigmoid=True, activated=True),
        loss_bbox=dict(type='GIoULoss')),
    train_cfg=dict(
        initial_epoch=4,
        initial_assigner=ATSS_CFG['assigner'],
        assigner=dict(type='TaskAlignedAssigner', topk=13),
        alpha=1,
        beta=6,
        allowed_border=-1,
        pos_weight=-1,
        debug=False))
SOFTMAX = copy.deepcopy(RETINA)
SOFTMAX['bbox_head']['loss_cls'] = dict(type='CrossEntropyLoss')
