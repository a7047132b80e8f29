# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# CIFAR-10 as tools/dataset_converters/cifar10.py leaves it. A config that
# inherits this piece names 'mmw2s.datasets.local_cifar10' in custom_imports.
# All pictures are decoded and in memory, and normalised batch by batch.
data_preprocessor = dict(
    num_classes=10,
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=False)  # they are RGB already

train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='LocalCIFAR10',
        data_root='data/cifar10',
        split='train',
        pipeline=[
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs')
        ]))
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='LocalCIFAR10',
        data_root='data/cifar10',
        split='test',
        pipeline=[dict(type='PackInputs')]))
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
