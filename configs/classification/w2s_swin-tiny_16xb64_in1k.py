# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Swin-T <- ResNet-34 of mmpretrain's zoo. All the rest is mmpretrain's own
# config; its baseline is this config with tools/train.py --no-distill.
_base_ = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'

# The zoo states 73.62 for the teacher and 81.18 for the baseline.
default_hooks = dict(
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='mmpretrain::resnet/resnet34_8xb32_in1k.py',
            checkpoint='auto',
            score=73.62)),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [50., 60., 65., 70., 75., 77.1]}))
