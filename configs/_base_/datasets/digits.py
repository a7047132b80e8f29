# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The handwritten digits of scikit-learn, 8 x 8; nothing to download.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='Digits', split='train'))
val_dataloader = dict(
    batch_size=120,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='Digits', split='val'))
test_dataloader = val_dataloader

val_evaluator = dict(type='DenoisingError')
test_evaluator = val_evaluator
