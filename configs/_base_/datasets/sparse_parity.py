# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The parity of 4 among 40 random bits. A run of 1,500 iterations draws no
# sample twice; each seed of a run shuffles them.
data_preprocessor = dict(
    type='ClsDataPreprocessor', num_classes=2, mean=[127.5], std=[127.5])
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='SparseParity', dim=40, length=192000, seed=0))
val_dataloader = dict(
    batch_size=1000,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='SparseParity', dim=40, length=1000, seed=1))
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
