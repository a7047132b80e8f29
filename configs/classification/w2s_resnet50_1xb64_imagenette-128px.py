# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# ResNet-50 <- ResNet-18 from scratch on Imagenette, for a GPU. Its baseline is
# this config with tools/train.py --no-distill.
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../_base_/datasets/imagenette_128px.py',
    '../_base_/schedules/cifar10_30e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(head=dict(num_classes=10, topk=(1, )))

max_epochs = 100
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)

optim_wrapper = dict(optimizer=dict(lr=0.05))
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    channels_last=dict(type='ChannelsLastHook'),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/resnet18_1xb64_imagenette-128px.py',
            checkpoint='work_dirs/resnet18_1xb64_imagenette-128px/epoch_30.pth'
        )),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [50., 60., 70., 80., 85.]}))
randomness = dict(seed=0)
