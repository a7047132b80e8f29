# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of w2s_gfl_r50_digits_600it.py: a ResNet-18 of half the
# width.
_base_ = ['retinanet_r18_digits.py', '../../_base_/models/gfl_digits.py']

model = _base_.gfl

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
