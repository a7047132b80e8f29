# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# ConvNeXt-T <- ResNet-50 of mmpretrain's zoo. All the rest is mmpretrain's own
# config; its baseline is this config with tools/train.py --no-distill. Of that
# is an EMAHook: it is the averaged student that has to surpass the teacher.
_base_ = 'mmpretrain::convnext/convnext-tiny_32xb128_in1k.py'

# The zoo states 76.55 for the teacher and 82.14 for the baseline.
default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='mmpretrain::resnet/resnet50_8xb32_in1k.py',
            checkpoint='auto',
            score=76.55)),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [50., 60., 65., 70., 75., 78.]}))
