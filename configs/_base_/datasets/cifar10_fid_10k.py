# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# CIFAR-10, and an image generated for each of the test images: FID of 10,000
# against the training images.
_base_ = 'cifar10_diffusion.py'

val_dataloader = dict(
    dataset=dict(pipeline=[dict(type='PackImage', generate=10000)]))
test_dataloader = val_dataloader

# The stop rule of the students looks at the first: it costs seconds.
val_evaluator = [
    dict(type='DenoisingError'),
    dict(
        type='FID',
        num_samples=10000,
        reference=dict(
            type='LocalCIFAR10',
            data_root='data/cifar10',
            split='train',
            pipeline=[dict(type='PackImage')]),
        batch_size=250)
]
test_evaluator = val_evaluator
