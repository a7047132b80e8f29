# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The same detector in the size that the project is after.
_base_ = 'weak.py'

model = dict(
    backbone=dict(depth=34, base_channels=16, stem_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128]))
