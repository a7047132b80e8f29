# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# ConvNeXt-T <- ResNet-50 of mmpretrain's zoo. All the rest is mmpretrain's own
# config; its baseline is this config with tools/train.py --no-distill.
_base_ = 'mmpretrain::convnext/convnext-tiny_32xb128_in1k.py'

# After the hooks that it has: its EMAHook, by which it is the averaged student
# that has to surpass the teacher. What is left out here is the default of any
# classifier, that of ../_base_/w2s_classification.py.
custom_hooks = _base_.custom_hooks + [
    # The zoo states 76.55 for the teacher and 82.14 for the baseline.
    dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='mmpretrain::resnet/resnet50_8xb32_in1k.py',
            checkpoint='auto',
            score=76.55)),
    dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [50., 60., 65., 70., 75., 78.]})
]
