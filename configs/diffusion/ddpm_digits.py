# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of w2s_ddpm_digits.py: width 16 with one block a level. Two
# minutes on one core of a CPU.
_base_ = [
    '../_base_/models/ddpm_unet_digits.py', '../_base_/datasets/digits.py',
    '../_base_/schedules/diffusion_2k.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

default_scope = 'mmengine'
default_hooks = dict(time_to_target=dict(type='TimeToTargetHook'))
