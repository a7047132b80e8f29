# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of w2s_ddpm_cifar10.py: width 64 with 2 blocks a level.
_base_ = [
    '../_base_/models/ddpm_unet_cifar10.py',
    '../_base_/datasets/cifar10_fid_10k.py',
    '../_base_/schedules/diffusion_20k.py'
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

optim_wrapper = dict(type='BF16OptimWrapper')
default_hooks = dict(time_to_target=dict(type='TimeToTargetHook'))
