# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Plain SGD with momentum, and a validation each 25 iterations.
max_iters = 1500
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=25)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
log_processor = dict(by_epoch=False)
