# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Width 32 with 2 blocks a level <- width 16 with one, on digits of 8 x 8. Five
# minutes on one core of a CPU; its baseline is this config with tools/train.py
# --no-distill.
_base_ = [
    '../_base_/models/ddpm_unet_digits.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/diffusion_2k.py',
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(denoiser=dict(block_out_channels=(32, 64), layers_per_block=2))

train_cfg = dict(val_interval=50)

default_scope = 'mmengine'
default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/ddpm_digits.py',
            checkpoint='work_dirs/ddpm_digits/iter_2000.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'diffusion/denoising_mse': [0.18, 0.165, 0.155]}))
