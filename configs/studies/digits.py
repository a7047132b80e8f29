# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The quick start's pair with its controls. On a CPU of two cores:
#     mmw2s prepare-digit-scenes data/digit_scenes
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/digits.py --jobs 2
student = 'detection/digits/w2s_retinanet_r50_digits.py'
teacher = 'retinanet_r18_digits.py'

metric = 'coco/bbox_mAP'
targets = ['80%', '90%', '95%']
margin = 0.02
seeds = [0, 1, 2]
arms = [
    'baseline', 'start', 'distillation', 'both', 'permuted_teacher',
    'untrained_teacher', 'always_on', 'fixed_epoch'
]
