# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The teacher, trained until it is better than the student ever gets. All its
# checkpoints are kept: they are the teachers, from far too weak to too strong,
# of the comparisons.
_base_ = 'retinanet_r18_digits.py'

max_epochs = 16
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=-1))
