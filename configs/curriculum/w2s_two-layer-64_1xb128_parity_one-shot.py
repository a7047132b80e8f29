# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# One-shot distillation: from the first step on the student learns the trained
# teacher's outputs, and nothing else.
_base_ = [
    '../_base_/models/two_layer.py',
    '../_base_/datasets/sparse_parity.py',
    '../_base_/schedules/parity_1500.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

outputs = dict(
    knowledge=dict(type='ClassLogits'),
    loss=dict(type='KDLoss', temperature=1., loss_weight=1.))
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=1),
    time_to_target=dict(
        type='TimeToTargetHook',
        targets={'accuracy/top1': [90.]},
        stop_at_target=True),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/two-layer-256_1xb128_parity.py',
            checkpoint='work_dirs/two-layer-256_1xb128_parity/'
            'at_target_iter_675.pth'),
        distill=[outputs],
        schedule=dict(type='Constant', value=1.),
        stop=dict(type='At', iter=1500),
        task_weight=0.))
randomness = dict(seed=0)
