# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The hooks by position, as configs in the Python style inherited them; it goes
# with the next version. A config of today has them by name:
#
#   default_hooks.update(
#       w2s=dict(type=WeakTeacherDistillHook, teacher=dict(...)),
#       time_to_target=dict(type=TimeToTargetHook, targets={...}))
from mmw2s.engine.hooks import TimeToTargetHook, WeakTeacherDistillHook

custom_hooks = [
    dict(
        type=WeakTeacherDistillHook,
        teacher=dict(config='my_teacher.py', checkpoint='my_teacher.pth')),
    dict(type=TimeToTargetHook),
]
