# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins with weights of its teacher, and is trained for 10 epochs
# (of 390 iterations) instead of 20, with a quarter of the warm-up. The full
# baseline is w2s_resnet18-slim_1xb128_cifar10.py with tools/train.py
# --no-distill.
_base_ = 'w2s_resnet18-slim_1xb128_cifar10.py'

max_iters = 3900
train_cfg = dict(max_iters=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 50
param_scheduler[1].update(T_max=max_iters, end=max_iters)

default_hooks = dict(
    checkpoint=dict(interval=max_iters // 10),
    w2s=dict(start=dict(type='Inherit')))
