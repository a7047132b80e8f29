# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Published methods on a slim ResNet-18 in runs of 3 epochs, each by its own
# loss alone; and rules that need no validation, with teachers of three
# strengths. An arm has one seed, unless it claims a gain.
#     mmw2s prepare-cifar10 data/cifar10
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/methods_cifar10.py --jobs 2
_base_ = 'cifar10_5e.py'

cfg_options = {
    'max_iters': 1170,
    'train_cfg.max_iters': 1170,
    'param_scheduler.1.T_max': 1170,
    'param_scheduler.1.end': 1170,
}


def _features(stage, loss, **knowledge):
    return dict(
        name=f'layer{stage}',
        knowledge=dict(
            type='HiddenFeatures',
            module=f'backbone.layer{stage}',
            **knowledge),
        loss=loss)


_methods = dict(
    ofa=[
        dict(
            knowledge=dict(type='ClassLogits'),
            loss=dict(type='OFALoss', eps=1.5))
    ],
    cat_kd=[
        dict(
            knowledge=dict(type='ClassMaps'),
            loss=dict(
                type='CosineKDLoss', vectors='locations', loss_weight=2.))
    ],
    fitnets=[
        _features(
            2, dict(type='MSEKDLoss', loss_weight='auto'), adapter='trained')
    ],
    stfpm=[
        _features(stage, dict(type='CosineKDLoss', loss_weight=1.))
        for stage in (1, 2, 3)
    ],
    attention=[
        _features(
            stage, dict(type='AttentionLoss', loss_weight=16.), adapter='none')
        for stage in (1, 2, 3)
    ],
    rkd=[
        dict(
            name=relation,
            knowledge=dict(
                type='HiddenFeatures', module='backbone', adapter='none'),
            loss=dict(
                type='RelationLoss',
                relation=relation,
                among='images',
                loss_weight=weight))
        for relation, weight in (('distance', 25.), ('angle', 50.))
    ],
    manifold=[
        _features(
            3, dict(type='RelationLoss', loss_weight=3.), adapter='none')
    ],
    pkd=[_features(3, dict(type='PKDLoss', loss_weight=3.))],
    curriculum=[
        dict(
            _features(stage, dict(type='PKDLoss', loss_weight=3.), seed=stage),
            schedule=dict(
                type='Within',
                begin=0.05 * (stage - 1),
                end=0.05 * stage,
                unit='run')) for stage in (1, 2, 3)
    ] + [
        dict(
            knowledge=dict(type='ClassLogits'),
            loss=dict(type='KDLoss', loss_weight=3.),
            schedule=dict(type='Within', begin=0.15, unit='run'))
    ])
_gains = ['rkd']  # what claims one has three seeds
_rules = dict(
    conflict={'stop': dict(type='StopOnConflict', interval=20)},
    saturation={'stop': dict(type='StopOnSaturation', interval=10)},
    follow_gap={
        'schedule': dict(type='FollowGap', by='train', interval=20),
        'stop':
        dict(type='SurpassTeacher', metric='accuracy/top1', latest=0.5)
    })

arms = dict(
    _delete_=True,
    baseline=dict(),
    distillation=dict(),
    permuted_teacher=dict(),
    teacher_60=dict(seeds=[0]),
    teacher_80=dict(seeds=[0]),
    **{
        name:
        dict(
            seeds=[0, 1, 2] if name in _gains else [0],
            cfg_options={'default_hooks.w2s.distill': distill})
        for name, distill in _methods.items()
    },
    **{
        f'{rule}{of}':
        dict(
            like=like,
            seeds=[0],
            cfg_options={
                f'default_hooks.w2s.{field}': value
                for field, value in fields.items()
            })
        for rule, fields in _rules.items()
        for of, like in (('', 'distillation'), ('_60', 'teacher_60'),
                         ('_80', 'teacher_80'))
    })
