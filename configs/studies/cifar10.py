# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A slim ResNet-18 on CIFAR-10 with its controls. The started arms have a
# quarter of the warm-up, and so has a baseline.
#     mmw2s prepare-cifar10 data/cifar10
#     OMP_NUM_THREADS=1 mmw2s study configs/studies/cifar10.py --jobs 2
student = 'classification/w2s_resnet18-slim_1xb128_cifar10.py'
teacher = 'resnet14-slim_1xb128_cifar10.py'

metric = 'accuracy/top1'
targets = ['80%', '90%', '95%']
margin = 0.5
seeds = [0, 1, 2]
warm_up = 0.25
arms = [
    'baseline', 'start', 'distillation', 'both', 'permuted_teacher',
    'untrained_teacher', 'always_on', 'fixed_epoch', 'label_smoothing',
    'warm_up_cut', 'teacher_60', 'teacher_80', 'teacher_90', 'teacher_100'
]
