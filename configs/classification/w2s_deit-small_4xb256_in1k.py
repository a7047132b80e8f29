# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# DeiT-S <- ResNet-18 of mmpretrain's zoo. All the rest is mmpretrain's own
# config; its baseline is this config with tools/train.py --no-distill.
_base_ = 'mmpretrain::deit/deit-small_4xb256_in1k.py'

# The zoo states 69.90 for the teacher and 80.69 for the baseline.
default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='mmpretrain::resnet/resnet18_8xb32_in1k.py',
            checkpoint='auto',
            score=69.9)),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [50., 60., 65., 70., 75., 76.7]}))
