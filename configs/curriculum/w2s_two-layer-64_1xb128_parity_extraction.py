# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Curriculum extraction: the student's hidden layer first learns a fixed random
# projection of the trained teacher's, then the whole learns its outputs.
_base_ = 'w2s_two-layer-64_1xb128_parity_one-shot.py'

hidden_iters = 100
default_hooks = dict(
    w2s=dict(distill=[
        dict(
            knowledge=dict(type='HiddenFeatures'),
            # Maps of one pixel: what varies, varies over the batch.
            loss=dict(type='PKDLoss', per_image=False),
            schedule=dict(type='Within', end=hidden_iters, unit='iter')),
        dict(
            knowledge=dict(type='ClassLogits'),
            loss=dict(type='KDLoss', temperature=1., loss_weight=1.),
            schedule=dict(type='Within', begin=hidden_iters, unit='iter')),
    ]))
