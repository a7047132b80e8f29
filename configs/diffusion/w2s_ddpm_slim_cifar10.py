# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Width 32 with 2 blocks a level <- width 16 with one. About 10 minutes on one
# core of a CPU; its baseline is this config with tools/train.py --no-distill.
_base_ = [
    '../_base_/models/ddpm_unet_slim.py',
    '../_base_/datasets/cifar10_kid_250.py',
    '../_base_/schedules/diffusion_2k.py',
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

model = dict(
    denoiser=dict(block_out_channels=(32, 64, 64), layers_per_block=2))

max_iters = 1000
train_cfg = dict(max_iters=max_iters, val_interval=50)
optim_wrapper = dict(type='BF16OptimWrapper')

default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/ddpm_slim_cifar10.py',
            checkpoint='work_dirs/ddpm_slim_cifar10/iter_1000.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'diffusion/denoising_mse': [0.12, 0.10, 0.08]}))
