# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A slim RetinaNet-R50 on blood cells of 320x240: does the first student pay
# for its teacher? Runs of 13 epochs cost, with the teacher's training, 0.8 of
# the baseline's 20. The started arms have a quarter of the warm-up.
#     python tools/dataset_converters/bccd.py BCCD_Dataset data/bccd
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/bccd.py --jobs 2
student = 'detection/bccd/w2s_retinanet_r50_slim_bccd.py'
teacher = 'retinanet_r18_half_slim_bccd.py'

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


_features = [
    dict(
        knowledge=dict(type='FPNFeatures'),
        loss=dict(type='PKDLoss', loss_weight=10.))
]

arms = dict(
    baseline=dict(),
    **{
        f'{arm}_13_epochs': dict(like=arm, cfg_options=_lasts(13))
        for arm in ('start', 'both')
    },
    start=dict(),
    both=dict(),
    **{
        f'start_features_{epochs}_epochs':
        dict(
            like='both',
            cfg_options={
                **_lasts(epochs), 'default_hooks.w2s.distill': _features
            })
        for epochs in (13, 20)
    },
    permuted_teacher=dict())
