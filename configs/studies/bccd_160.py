# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A slim RetinaNet-R50 that grows out of its teacher, with all controls, on
# blood cells of 160x120 and in 16 epochs: 28 runs of 5 to 9 minutes of one CPU
# core. The started arms have a quarter of the warm-up, and so have baselines.
#     python tools/dataset_converters/bccd.py BCCD_Dataset data/bccd
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/bccd_160.py --jobs 2
student = 'detection/bccd/w2s_retinanet_r50_slim_bccd_160.py'
teacher = 'retinanet_r14_half_slim_bccd_160.py'
start = dict(type='Grow')


def _lasts(epochs):
    return {
        'train_cfg.max_epochs': epochs,
        'param_scheduler.1.T_max': epochs,
        'param_scheduler.1.end': epochs
    }


cfg_options = _lasts(16)
metric = 'coco/bbox_mAP'
targets = ['80%', '90%', '95%']
margin = 0.01
seeds = [0, 1, 2]
warm_up = 0.25

arms = dict(
    baseline=dict(),
    start=dict(),
    start_10_epochs=dict(like='start', cfg_options=_lasts(10)),
    distillation=dict(),
    both=dict(),
    permuted_teacher=dict(),
    untrained_start=dict(seeds=[0]),
    untrained_teacher=dict(seeds=[0]),
    always_on=dict(seeds=[0]),
    fixed_epoch=dict(seeds=[0]),
    warm_up_cut=dict(seeds=[0]),
    baseline_10_epochs=dict(
        like='warm_up_cut', seeds=[0], cfg_options=_lasts(10)),
    teacher_60=dict(seeds=[0]),
    teacher_80=dict(seeds=[0]),
    teacher_90=dict(seeds=[0]),
    teacher_100=dict(seeds=[0]))
