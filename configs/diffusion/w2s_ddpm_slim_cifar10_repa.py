# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# REPA (arXiv 2410.06940) with a weak encoder: a classifier that sees the clean
# image teaches the middle block of the denoiser. The classifier is
# configs/classification/resnet14-slim_1xb128_cifar10.py with --cfg-options
# "model.backbone.strides=[1,2,2]", so that its last maps have the size of the
# denoiser's, 8 x 8.
_base_ = 'w2s_ddpm_slim_cifar10.py'

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/../classification/'
            'resnet14-slim_1xb128_cifar10.py',
            cfg_options={'model.backbone.strides': (1, 2, 2)},
            checkpoint='work_dirs/resnet14-slim_1xb128_cifar10/epoch_10.pth'),
        distill=[
            dict(
                knowledge=dict(
                    type='HiddenFeatures',
                    module='denoiser.mid_block',
                    teacher_module='backbone.layer3',
                    adapter='mlp'),
                loss=dict(type='CosineKDLoss', loss_weight=0.5))
        ],
        # A classifier is not scored by the run.
        stop=dict(type='At', iter=500)))
