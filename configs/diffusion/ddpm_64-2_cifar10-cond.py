# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of w2s_ddpm_128-3_cifar10-cond.py.
_base_ = 'ddpm_64-2_cifar10.py'

model = dict(denoiser=dict(num_class_embeds=10), num_classes=10)
