# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The hooks by position, as configs of before inherit them from one of four
# pieces; it goes with the next version. A config of today has them by name:
#
#   default_hooks = dict(
#       w2s=dict(type='mmw2s.WeakTeacherDistillHook', teacher=dict(...)),
#       time_to_target=dict(type='mmw2s.TimeToTargetHook', targets={...}))
custom_hooks = [
    dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(config='my_teacher.py', checkpoint='my_teacher.pth')),
    dict(type='mmw2s.TimeToTargetHook'),
]
