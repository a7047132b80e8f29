# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The weak teacher of w2s_resnet50_1xb64_imagenette-128px.py.
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../_base_/datasets/imagenette_128px.py',
    '../_base_/schedules/cifar10_30e.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(head=dict(num_classes=10, topk=(1, )))

optim_wrapper = dict(optimizer=dict(lr=0.05))
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=-1),
    channels_last=dict(type='ChannelsLastHook'),
    time_to_target=dict(type='TimeToTargetHook'))
randomness = dict(seed=0)
