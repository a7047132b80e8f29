# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# CIFAR-10 for classifiers, normalized batch by batch.
_base_ = 'cifar10.py'

data_preprocessor = dict(
    num_classes=10,
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=False)  # they are RGB already

train_dataloader = dict(
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=[
        dict(type='RandomCrop', crop_size=32, padding=4),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackInputs')
    ]))
val_dataloader = dict(
    batch_size=250, dataset=dict(pipeline=[dict(type='PackInputs')]))
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
