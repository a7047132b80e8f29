# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# CIFAR-100 by mmpretrain's own class, which reads the official files and
# downloads them where they are missing.
_base_ = 'cifar10_bs128.py'

data_preprocessor = dict(
    num_classes=100,
    mean=[129.304, 124.070, 112.434],
    std=[68.170, 65.392, 70.418])

train_dataloader = dict(
    dataset=dict(type='CIFAR100', data_root='data/cifar100'))
val_dataloader = dict(dataset=dict(type='CIFAR100', data_root='data/cifar100'))
test_dataloader = val_dataloader
