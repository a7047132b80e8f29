# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of w2s_ddpm_slim_cifar10.py: width 16 with one block a
# level. About 4 minutes on one core of a CPU.
_base_ = [
    '../_base_/models/ddpm_unet_slim.py',
    '../_base_/datasets/cifar10_kid_250.py',
    '../_base_/schedules/diffusion_2k.py'
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

max_iters = 1000
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(type='BF16OptimWrapper')

default_hooks = dict(time_to_target=dict(type='TimeToTargetHook'))
