# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# LD on GFL, whose head gives distributions of the edges of boxes: alone, and
# beside features, which are the default.
#     mmw2s prepare-digit-scenes data/digit_scenes
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/ld_digits.py --jobs 2
student = 'detection/digits/w2s_gfl_r50_digits_600it.py'
teacher = 'gfl_r18_digits.py'

metric = 'coco/bbox_mAP'
targets = ['80%', '90%', '95%']
margin = 0.02
seeds = [0, 1, 2]

_features = dict(
    knowledge=dict(type='FPNFeatures'),
    loss=dict(type='PKDLoss', loss_weight=3.333))
_edges = dict(
    knowledge=dict(type='EdgeDistributions'),
    loss=dict(type='KDLoss', temperature=10., loss_weight=0.25))


def _distilled(*entries):
    return dict(
        like='distillation',
        cfg_options={'default_hooks.w2s.distill': list(entries)})


arms = dict(
    baseline=dict(),
    distillation=dict(),
    permuted_teacher=dict(),
    ld=_distilled(_edges),
    features_and_ld=_distilled(_features, _edges))
