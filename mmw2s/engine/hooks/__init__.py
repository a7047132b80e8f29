# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .time_to_target_hook import TimeToTargetHook
from .weak_teacher_distill_hook import WeakTeacherDistillHook

__all__ = ['TimeToTargetHook', 'WeakTeacherDistillHook']
