# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of the paper's second pair; the zoo has none of 12 epochs.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        depth=18,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]))
default_hooks = dict(
    time_to_target=dict(
        type='TimeToTargetHook', targets={'coco/bbox_mAP': [0.20, 0.25, 0.30]
                                          }))
