# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of the paper's pair.
_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(
    backbone=dict(depth=34, frozen_stages=-1, norm_eval=False, init_cfg=None))
default_hooks = dict(
    time_to_target=dict(
        type='TimeToTargetHook',
        targets={'coco/bbox_mAP_50': [0.10, 0.15, 0.20]}))
