# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# CIFAR-10 for a CPU: the loss of 1,000 test images validates; tools/test.py
# also generates 250 images and compares them with the 10,000 test images,
# whose features take a quarter of an hour, once.
_base_ = 'cifar10_diffusion.py'

train_dataloader = dict(batch_size=32, num_workers=1)
val_dataloader = dict(batch_size=100, dataset=dict(indices=1000))
test_dataloader = dict(
    batch_size=50,
    dataset=dict(
        indices=1000, pipeline=[dict(type='PackImage', generate=250)]))

test_evaluator = [
    dict(type='DenoisingError'),
    dict(
        type='FID',
        num_samples=250,
        measures=('kid', ),
        reference=dict(
            type='LocalCIFAR10',
            data_root='data/cifar10',
            split='test',
            pipeline=[dict(type='PackImage')]),
        batch_size=16)
]
