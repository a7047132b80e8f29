# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A masked autoencoder that learns from a frozen smaller one, as in SALT
# (arXiv 2509.24317): from a quarter of the image it predicts, beside the
# pixels, the teacher's tokens of the whole image.
_base_ = 'mae-slim_cifar10.py'

model = dict(
    backbone=dict(
        arch=dict(
            embed_dims=96, num_layers=5, num_heads=4,
            feedforward_channels=384)),
    neck=dict(embed_dim=96))

default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=-1),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/mae-slim_cifar10.py',
            checkpoint='work_dirs/mae-slim_cifar10/epoch_3.pth'),
        distill=[
            dict(
                knowledge=dict(
                    type='HiddenFeatures',
                    module='neck.decoder_blocks.0',
                    teacher_module='backbone',
                    adapter='trained'),
                loss=dict(type='CosineKDLoss', loss_weight=1.))
        ],
        stop=dict(type='At', epoch=0.9)))
