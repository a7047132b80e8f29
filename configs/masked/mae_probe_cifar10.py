# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# What an encoder of w2s_mae_cifar10.py has learned: a linear classifier on its
# frozen tokens, trained with 10,000 images. Its checkpoint is
# model.backbone.init_cfg.checkpoint.
_base_ = [
    '../_base_/datasets/cifar10_bs128.py',
    '../_base_/schedules/cifar10_30e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(
            embed_dims=96, num_layers=5, num_heads=4,
            feedforward_channels=384),
        img_size=32,
        patch_size=4,
        frozen_stages=5,
        out_type='avg_featmap',
        final_norm=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/w2s_mae_cifar10/epoch_3.pth',
            prefix='backbone.')),
    neck=dict(type='ClsBatchNormNeck', input_features=96),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=96))

train_dataloader = dict(dataset=dict(indices=10000))
max_epochs = 5
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
