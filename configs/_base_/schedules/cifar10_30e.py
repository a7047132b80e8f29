# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# From scratch, in bfloat16, on a CPU (or a GPU that has it).
max_epochs = 30
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type='BF16OptimWrapper',
    optimizer=dict(
        type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.,
        by_epoch=True,
        convert_to_iter_based=True,
        begin=0,
        T_max=max_epochs,
        end=max_epochs)
]
