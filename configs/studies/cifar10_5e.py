# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The study of cifar10.py in runs of 5 epochs instead of 20, for a CPU: 24 runs
# of 4 to 6 minutes of one core, and a teacher of 3 epochs.
#     mmw2s prepare-cifar10 data/cifar10
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/cifar10_5e.py --jobs 2
_base_ = 'cifar10.py'

cfg_options = {
    'max_iters': 1950,
    'train_cfg.max_iters': 1950,
    'param_scheduler.1.T_max': 1950,
    'param_scheduler.1.end': 1950,
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
    start=dict(),
    distillation=dict(),
    both=dict(),
    permuted_teacher=dict(),
    untrained_teacher=dict(seeds=[0]),
    always_on=dict(seeds=[0]),
    fixed_epoch=dict(seeds=[0]),
    label_smoothing=dict(seeds=[0]),
    warm_up_cut=dict(seeds=[0]),
    teacher_60=dict(seeds=[0]),
    teacher_80=dict(seeds=[0]),
    teacher_90=dict(seeds=[0]),
    teacher_100=dict(seeds=[0]))
