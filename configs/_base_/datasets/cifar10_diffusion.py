# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# CIFAR-10 as tools/dataset_converters/cifar10.py leaves it. A config that
# inherits this piece names 'mmw2s.datasets.local_cifar10' in custom_imports.
train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='LocalCIFAR10',
        data_root='data/cifar10',
        split='train',
        pipeline=[
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackImage')
        ]))
val_dataloader = dict(
    batch_size=500,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='LocalCIFAR10',
        data_root='data/cifar10',
        split='test',
        pipeline=[dict(type='PackImage')]))
test_dataloader = val_dataloader

val_evaluator = [dict(type='DenoisingLoss')]
test_evaluator = val_evaluator
