# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The pair of arXiv 2604.15451 on CIFAR-10: a diffusion model of width 128 with
# 3 blocks a level, helped by one of width 64 with 2, which is trained before:
#
#   python tools/train.py configs/diffusion/ddpm_64-2_cifar10.py
#
# For one GPU; its baseline is this config with tools/train.py --no-distill.
_base_ = [
    '_base_/models/ddpm_unet_cifar10.py',
    '_base_/datasets/cifar10_fid_10k.py',
    '_base_/schedules/diffusion_20k.py',
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

model = dict(
    denoiser=dict(block_out_channels=(128, 256, 256, 256), layers_per_block=3))
optim_wrapper = dict(type='BF16OptimWrapper')

default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/diffusion/ddpm_64-2_cifar10.py',
            checkpoint='work_dirs/ddpm_64-2_cifar10/iter_20000.pth'),
        # By default it would be the FID.
        stop=dict(type='SurpassTeacher', metric='diffusion/denoising_mse')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'diffusion/fid_10k_ddim50': [100., 80., 60.]}))
