# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Width 128 with 3 blocks a level, conditional on the class.
_base_ = '../w2s_ddpm_cifar10.py'

model = dict(denoiser=dict(num_class_embeds=10), num_classes=10)

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/ddpm_64-2_cifar10-cond.py',
            checkpoint='work_dirs/ddpm_64-2_cifar10-cond/iter_20000.pth')))
