# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .hooks import TimeToTargetHook, WeakTeacherDistillHook
from .optim_wrapper import BF16OptimWrapper

__all__ = ['BF16OptimWrapper', 'TimeToTargetHook', 'WeakTeacherDistillHook']
