# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Swin-T <- ResNet-34 of mmpretrain's zoo. All the rest is mmpretrain's own
# config; its baseline is this config with tools/train.py --no-distill.
_base_ = [
    'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
    '../_base_/w2s_classification.py'
]

# The zoo states 73.62 for the teacher and 81.18 for the baseline.
custom_hooks = _base_.custom_hooks
custom_hooks[0].teacher = dict(
    config='mmpretrain::resnet/resnet34_8xb32_in1k.py',
    checkpoint='auto',
    score=73.62)
custom_hooks[1].targets = {'accuracy/top1': [50., 60., 65., 70., 75., 77.1]}
