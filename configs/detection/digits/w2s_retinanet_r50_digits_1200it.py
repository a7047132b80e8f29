# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The quick start's student by iterations, validated every half epoch, for
# comparing settings with each other.
_base_ = 'w2s_retinanet_r50_digits.py'

max_iters = 1200
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=75)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
param_scheduler = _base_.param_scheduler
param_scheduler[1] = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.05,
    by_epoch=False,
    begin=0,
    T_max=max_iters,
    end=max_iters)
log_processor = dict(by_epoch=False)
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=max_iters, max_keep_ckpts=1),
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r18_digits_16e.py',
            checkpoint='work_dirs/retinanet_r18_digits_16e/epoch_7.pth')))
