# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The study of cifar10.py in runs of 3 epochs instead of 20, for one core of a
# CPU: 23 runs of 4 to 5 minutes.
#     mmw2s prepare-cifar10 data/cifar10
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/cifar10_3e.py
_base_ = 'cifar10.py'

cfg_options = {
    'max_iters': 1170,
    'train_cfg.max_iters': 1170,
    'param_scheduler.1.T_max': 1170,
    'param_scheduler.1.end': 1170,
    'default_hooks.checkpoint.interval': 390,
}
teacher = dict(
    _delete_=True,
    config='resnet14-slim_1xb128_cifar10.py',
    cfg_options={
        'train_cfg.max_epochs': 3,
        'param_scheduler.1.T_max': 3,
        'param_scheduler.1.end': 3,
    })
arms = dict(
    _delete_=True,
    baseline=dict(),
    both=dict(),
    permuted_teacher=dict(),
    distillation=dict(),
    start=dict(),
    warm_up_cut=dict(seeds=[0]),
    untrained_teacher=dict(seeds=[0]),
    always_on=dict(seeds=[0]),
    fixed_epoch=dict(seeds=[0]),
    label_smoothing=dict(seeds=[0]),
    teacher_60=dict(seeds=[0]),
    teacher_80=dict(seeds=[0]))
