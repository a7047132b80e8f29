# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# ResNet-18 <- one of a quarter of its width, from scratch on Imagenette, on a
# CPU. Its baseline is this config with tools/train.py --no-distill.
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../_base_/datasets/imagenette_96px.py',
    '../_base_/schedules/cifar10_30e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(head=dict(num_classes=10, topk=(1, )))

optim_wrapper = dict(optimizer=dict(lr=0.05))
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    channels_last=dict(type='ChannelsLastHook'),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/resnet18-slim_1xb64_imagenette-96px.py',
            checkpoint='work_dirs/resnet18-slim_1xb64_imagenette-96px/'
            'epoch_30.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [50., 60., 70., 75., 80.]}))
randomness = dict(seed=0)
