# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The teacher of the students here: four times as wide, and trained until it
# makes no more mistakes. A checkpoint each 50 iterations, for the progressive
# distillation.
_base_ = [
    '../_base_/models/two_layer.py',
    '../_base_/datasets/sparse_parity.py',
    '../_base_/schedules/parity_1500.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(backbone=dict(width=256), head=dict(in_channels=256))
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=50, max_keep_ckpts=-1),
    time_to_target=dict(
        type='TimeToTargetHook',
        targets={'accuracy/top1': [99.5]},
        stop_at_target=True))
randomness = dict(seed=0)
