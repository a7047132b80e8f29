# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A short one, for a CPU.
_base_ = 'diffusion_20k.py'

max_iters = 2000
train_cfg = dict(max_iters=max_iters, val_interval=100)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 50
default_hooks = dict(checkpoint=dict(interval=500), samples=dict(num=36))
