# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# GFL on scenes of digits in 4 epochs by iterations, validated every half
# epoch. Its head gives distributions of edges, so LD can be tried on it.
_base_ = [
    'w2s_retinanet_r50_digits_1200it.py', '../../_base_/models/gfl_digits.py'
]

model = _base_.gfl

max_iters = 600
train_cfg = dict(max_iters=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_iters, end=max_iters)

default_hooks = dict(
    checkpoint=dict(interval=max_iters),
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/gfl_r18_digits.py',
            checkpoint='work_dirs/gfl_r18_digits/epoch_4.pth')),
    time_to_target=dict(targets={'coco/bbox_mAP': [0.1, 0.2, 0.3]}))
