# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Imagenette at 128 pixels.
_base_ = 'imagenette_96px.py'

train_dataloader = dict(
    num_workers=8,
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=128),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackInputs')
    ]))
val_dataloader = dict(
    num_workers=4,
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', scale=144, edge='short'),
        dict(type='CenterCrop', crop_size=128),
        dict(type='PackInputs')
    ]))
test_dataloader = val_dataloader
