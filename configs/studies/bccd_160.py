# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A slim RetinaNet-R50 on blood cells of 160x120 with its controls. The started
# arms have a quarter of the warm-up, and so has a baseline.
#     python tools/dataset_converters/bccd.py BCCD_Dataset data/bccd
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/bccd_160.py --jobs 2
student = 'detection/bccd/w2s_retinanet_r50_slim_bccd_160.py'
teacher = 'retinanet_r18_half_slim_bccd_160.py'

# What the records have; a detector's default is the features alone.
cfg_options = {'default_hooks.w2s.distill': dict(full={})}

metric = 'coco/bbox_mAP'
targets = ['80%', '90%', '95%']
margin = 0.01
seeds = [0, 1, 2]
warm_up = 0.25


def _lasts(epochs):
    return {
        'train_cfg.max_epochs': epochs,
        'param_scheduler.1.T_max': epochs,
        'param_scheduler.1.end': epochs
    }


arms = dict(
    baseline=dict(),
    both=dict(),
    both_10_epochs=dict(like='both', cfg_options=_lasts(10)),
    start=dict(),
    start_12_epochs=dict(like='start', cfg_options=_lasts(12)),
    baseline_12_epochs=dict(
        like='warm_up_cut', seeds=[0], cfg_options=_lasts(12)),
    distillation=dict(),
    permuted_teacher=dict(),
    untrained_teacher=dict(seeds=[0]),
    always_on=dict(seeds=[0]),
    fixed_epoch=dict(seeds=[0]),
    warm_up_cut=dict(seeds=[0]),
    teacher_60=dict(seeds=[0]),
    teacher_80=dict(seeds=[0]),
    teacher_90=dict(seeds=[0]),
    teacher_100=dict(seeds=[0]),
    only_head=dict(
        like='both',
        seeds=[0],
        cfg_options={'default_hooks.w2s.start.modules': ['bbox_head']}),
    only_neck=dict(
        like='both',
        seeds=[0],
        cfg_options={'default_hooks.w2s.start.modules': ['neck']}))
