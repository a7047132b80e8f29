# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# WRN-18-2 of "Wide Residual Networks" <- ResNet-18 on CIFAR-10, for a GPU: a
# ResNet-18 of twice the width, not the pre-activated WRN-28-10. Its baseline
# is this config with tools/train.py --no-distill.
_base_ = 'w2s_resnet50_1xb128_cifar10.py'

model = dict(
    backbone=dict(depth=18, stem_channels=128, base_channels=128),
    head=dict(in_channels=1024))
