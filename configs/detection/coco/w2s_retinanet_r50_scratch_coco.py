# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The pair of arXiv 2604.15451: RetinaNet-R50 <- RetinaNet-R34, both without
# pre-trained weights; target: 20 % AP50.
_base_ = '../../w2s_retinanet_coco.py'

model = dict(backbone=dict(frozen_stages=-1, norm_eval=False, init_cfg=None))

# By the paper's account a teacher of about 19.5 % AP50 helps, one of 12.8 % is
# too weak and one of 26.2 % too strong: choose the epoch of the teacher's run
# that comes nearest, and give its path here.
default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r34_scratch_coco.py',
            checkpoint='work_dirs/retinanet_r34_scratch_coco/epoch_12.pth'),
        stop=dict(type='SurpassTeacher', metric='coco/bbox_mAP_50')),
    time_to_target=dict(
        _delete_=True,
        type='mmw2s.TimeToTargetHook',
        targets={'coco/bbox_mAP_50': [0.10, 0.15, 0.20]}))
