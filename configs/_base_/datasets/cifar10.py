# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# CIFAR-10 as tools/dataset_converters/cifar10.py leaves it, all in memory. A
# config that inherits this piece names 'mmw2s.datasets.local_cifar10' in
# custom_imports.
train_dataloader = dict(
    batch_size=128,
    persistent_workers=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='LocalCIFAR10', data_root='data/cifar10', split='train'))
val_dataloader = dict(
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='LocalCIFAR10', data_root='data/cifar10', split='test'))
test_dataloader = val_dataloader
