# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A small masked autoencoder on CIFAR-10: the teacher of w2s_mae_cifar10.py.
_base_ = [
    '../_base_/datasets/cifar10_bs128.py', '../_base_/schedules/mae_3e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

model = dict(
    type='MAE',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=_base_.data_preprocessor.mean,
        std=_base_.data_preprocessor.std,
        to_rgb=False),
    backbone=dict(
        type='MAEViT',
        arch=dict(
            embed_dims=64, num_layers=3, num_heads=4,
            feedforward_channels=256),
        img_size=32,
        patch_size=4,
        mask_ratio=0.75),
    neck=dict(
        type='MAEPretrainDecoder',
        patch_size=4,
        num_patches=64,
        embed_dim=64,
        decoder_embed_dim=64,
        decoder_depth=1,
        decoder_num_heads=4),
    head=dict(
        type='MAEPretrainHead',
        norm_pix=True,
        patch_size=4,
        loss=dict(type='PixelReconstructionLoss', criterion='L2')))
val_dataloader = None
val_evaluator = None
val_cfg = None
test_dataloader = None
test_evaluator = None
test_cfg = None
