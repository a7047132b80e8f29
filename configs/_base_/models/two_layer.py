# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A two-layer network on 40 bits.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='HiddenLayer', in_features=40, width=64),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=2,
        in_channels=64,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.)))
