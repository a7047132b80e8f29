# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The student begins as its teacher, grown to the student's size. The run is as
# long as that of w2s_ddpm_slim_cifar10.py, which with tools/train.py
# --no-distill is the baseline of both.
_base_ = 'w2s_ddpm_slim_cifar10.py'

default_hooks = dict(w2s=dict(start=dict(type='Grow')))
