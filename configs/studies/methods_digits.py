# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Published methods on the quick start's RetinaNet in runs of 4 epochs, each by
# its own loss alone, beside features and scores (distill="full"); and
# starts. An arm has one seed, unless it claims a gain.
#     mmw2s prepare-digit-scenes data/digit_scenes
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/methods_digits.py --jobs 2
student = 'detection/digits/w2s_retinanet_r50_digits_1200it.py'
teacher = dict(
    config='retinanet_r18_digits.py',
    cfg_options={
        'train_cfg.max_epochs': 4,
        'param_scheduler.1.T_max': 4,
        'param_scheduler.1.end': 4
    })
cfg_options = {
    'default_hooks.w2s.distill': dict(full={}),
    'max_iters': 600,
    'train_cfg.max_iters': 600,
    'param_scheduler.1.T_max': 600,
    'param_scheduler.1.end': 600,
    'default_hooks.checkpoint.interval': 300
}

metric = 'coco/bbox_mAP'
targets = ['80%', '90%', '95%']
margin = 0.02
seeds = [0, 1, 2]


def _maps(loss, weight, kind='FPNFeatures', **knowledge):
    return dict(
        knowledge=dict(type=kind, **knowledge),
        loss=dict(type=loss, loss_weight=weight))


_scores = dict(
    knowledge=dict(type='DenseHeadOutputs'),
    loss=dict(type='QualityFocalKDLoss'))


def _during(entry, begin, end=None):
    return dict(
        entry, schedule=dict(type='Within', begin=begin, end=end, unit='run'))


_methods = dict(
    features=[_maps('PKDLoss', 10.)],
    scored_features=[_maps('PKDLoss', 10., 'ScoredFeatures')],
    fitnets=[_maps('MSEKDLoss', 'auto', adapter='trained')],
    mgd=[_maps('MSEKDLoss', 'auto', adapter='masked')],
    fgd=[_maps('FGDLoss', 'auto', 'FocalFeatures')],
    cosine=[_maps('CosineKDLoss', 2.)],
    attention=[_maps('AttentionLoss', 'auto', adapter='none')],
    manifold=[_maps('RelationLoss', 3., adapter='none')],
    pkd_conv3x3=[_maps('PKDLoss', 10., adapter='conv3x3')],
    cross_kd=[
        dict(
            knowledge=dict(type='CrossHeadScores'),
            loss=dict(type='QualityFocalKDLoss'))
    ],
    features_then_scores=[
        _during(_maps('PKDLoss', 10.), 0, 0.1),
        _during(_scores, 0.1)
    ],
    curriculum=[
        dict(
            _during(
                _maps(
                    'PKDLoss',
                    5.,
                    'HiddenFeatures',
                    module=f'backbone.layer{stage}',
                    seed=stage), 0.04 * (stage - 1), 0.04 * stage),
            name=f'c{stage + 1}') for stage in (1, 2, 3, 4)
    ] + [_during(_scores, 0.16)],
    neck_share=[
        dict(_maps('PKDLoss', 'auto'), auto_module='neck', auto_ratio=0.05)
    ])

arms = dict(
    baseline=dict(),
    distillation=dict(),
    permuted_teacher=dict(),
    **{
        name:
        dict(seeds=[0], cfg_options={'default_hooks.w2s.distill': distill})
        for name, distill in _methods.items() if name != 'features'
    },
    features=dict(
        cfg_options={'default_hooks.w2s.distill': _methods['features']}),
    features_every_2=dict(
        cfg_options={
            'default_hooks.w2s.distill': _methods['features'],
            'default_hooks.w2s.every': 2
        }),
    start=dict(),
    both=dict(seeds=[0]),
    start_features=dict(
        like='both',
        seeds=[0],
        cfg_options={'default_hooks.w2s.distill': _methods['features']}),
    start_mgd=dict(
        like='both',
        seeds=[0],
        cfg_options={'default_hooks.w2s.distill': _methods['mgd']}),
    **{
        f'only_{name}':
        dict(
            like='both',
            seeds=[0],
            cfg_options={'default_hooks.w2s.start.modules': [module]})
        for name, module in (('head', 'bbox_head'), ('neck', 'neck'))
    })
