# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins with neck and head of its teacher (its backbone keeps the
# weights of ImageNet), and is trained for 8 epochs instead of 12: milestones
# at the same shares of the run, a quarter of the warm-up. The full baseline is
# w2s_retinanet_coco.py with tools/train.py --no-distill. It was not run.
_base_ = 'w2s_retinanet_coco_short.py'

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 125
param_scheduler[1].update(end=max_epochs, milestones=[5, 7])

default_hooks = dict(w2s=dict(start=dict(type='Inherit')))
