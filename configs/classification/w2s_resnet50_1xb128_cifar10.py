# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# ResNet-50 <- ResNet-18 on CIFAR-10 in mmpretrain's own 200 epochs, for a GPU.
# Its baseline is this config with tools/train.py --no-distill.
_base_ = [
    'mmpretrain::_base_/models/resnet50_cifar.py',
    '../_base_/datasets/cifar10_bs128.py',
    'mmpretrain::_base_/schedules/cifar10_bs128.py',
    'mmpretrain::_base_/default_runtime.py'
]
custom_imports = dict(
    imports=['mmw2s', 'mmw2s.datasets.local_cifar10'],
    allow_failed_imports=False)

optim_wrapper = dict(type='BF16OptimWrapper')
train_dataloader = dict(num_workers=4)

# The zoo states 95.55 for the baseline.
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    channels_last=dict(type='ChannelsLastHook'),
    w2s=dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config='{{ fileDirname }}/resnet18_1xb128_cifar10.py',
            checkpoint='work_dirs/resnet18_1xb128_cifar10/epoch_8.pth')),
    time_to_target=dict(
        type='mmw2s.TimeToTargetHook',
        targets={'accuracy/top1': [70., 80., 85., 90., 93.]}))
randomness = dict(seed=0)
