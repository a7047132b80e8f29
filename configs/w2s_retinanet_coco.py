# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# RetinaNet-R50-FPN, helped through the first part of its training by the
# weaker RetinaNet-R18-FPN of mmdet's model zoo. All the rest is mmdet's own
# config; its baseline is this config with tools/train.py --no-distill. How
# strongly and until when it is distilled are the hook's defaults: the log has
# them in full.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

# The zoo states 0.317 for the teacher and 0.365 for the baseline.
default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        distill=dict(full={}),  # features and scores, as in the paper
        teacher=dict(
            config='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
            checkpoint='auto')),  # the zoo's own weights
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP': [0.20, 0.25, 0.30, 0.33, 0.36]}))
