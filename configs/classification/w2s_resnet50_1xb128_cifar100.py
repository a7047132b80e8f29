# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# ResNet-50 <- ResNet-18 on CIFAR-100 in mmpretrain's own 200 epochs, for a
# GPU. Its baseline is this config with tools/train.py --no-distill.
_base_ = [
    'mmpretrain::_base_/models/resnet50_cifar.py',
    '../_base_/datasets/cifar100_bs128.py',
    'mmpretrain::_base_/schedules/cifar10_bs128.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

model = dict(head=dict(num_classes=100))

# As in mmpretrain's resnet50_8xb16_cifar100.py, but in bfloat16.
optim_wrapper = dict(
    type='BF16OptimWrapper', optimizer=dict(weight_decay=0.0005))
param_scheduler = dict(milestones=[60, 120, 160], gamma=0.2)
train_dataloader = dict(num_workers=4)

# The zoo states 79.90 for the baseline.
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    channels_last=dict(type='ChannelsLastHook'),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/resnet18_1xb128_cifar100.py',
            checkpoint='work_dirs/resnet18_1xb128_cifar100/epoch_12.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [50., 60., 65., 70., 75.]}))
randomness = dict(seed=0)
