# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# CIFAR-10 for diffusion models.
_base_ = 'cifar10.py'

train_dataloader = dict(
    num_workers=2,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=[
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackImage')
    ]))
val_dataloader = dict(
    batch_size=500, dataset=dict(pipeline=[dict(type='PackImage')]))
test_dataloader = val_dataloader

val_evaluator = [dict(type='DenoisingError')]
test_evaluator = val_evaluator
