# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The paper's second pair: width 160 with 3 blocks a level.
_base_ = '../w2s_ddpm_cifar10.py'

model = dict(denoiser=dict(block_out_channels=(160, 320, 320, 320)))

default_hooks = dict(
    w2s=dict(teacher=dict(config='{{ fileDirname }}/ddpm_64-2_cifar10.py')))
