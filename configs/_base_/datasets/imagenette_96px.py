# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Imagenette (10 classes of ImageNet, in any of its sizes) in folders
# data/imagenette/{train,val}/<wnid>, at 96 pixels.
data_preprocessor = dict(
    num_classes=10,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

# Named as mmpretrain names them, so that a teacher that knows all of ImageNet
# can be reduced to these.
metainfo = dict(
    classes=('tench, Tinca tinca',
             'English springer, English springer spaniel', 'cassette player',
             'chain saw, chainsaw', 'church, church building',
             'French horn, horn', 'garbage truck, dustcart',
             'gas pump, gasoline pump, petrol pump, island dispenser',
             'golf ball', 'parachute, chute'))

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        metainfo=metainfo,
        data_root='data/imagenette',
        data_prefix='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=96),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs')
        ]))
val_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        metainfo=metainfo,
        data_root='data/imagenette',
        data_prefix='val',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=112, edge='short'),
            dict(type='CenterCrop', crop_size=96),
            dict(type='PackInputs')
        ]))
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
