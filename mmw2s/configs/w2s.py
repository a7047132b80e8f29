# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Only the hooks, for any kind of model that mmw2s knows; what is distilled,
# and how strongly, follows from that kind. A config in the Python style that
# inherits this module beside its own gives them their values, e.g.:
#
#   with read_base():
#       from .my_retinanet import *
#       from mmw2s.configs.w2s import *
#   custom_hooks[0].teacher = dict(config='my_teacher.py', checkpoint='t.pth')
#   custom_hooks[1].targets = {'coco/bbox_mAP': [0.3]}
from mmw2s.distillation.stop_rules import SurpassTeacher
from mmw2s.engine.hooks import TimeToTargetHook, WeakTeacherDistillHook

custom_hooks = [
    dict(
        type=WeakTeacherDistillHook,
        teacher=dict(config='my_teacher.py', checkpoint='my_teacher.pth'),
        # For good when the student has beaten the teacher in two consecutive
        # validations, and after half of the run in any case.
        stop=dict(type=SurpassTeacher, consecutive=2, latest=0.5)),
    # No targets yet: it notes the times and all metrics of each validation.
    dict(type=TimeToTargetHook),
]
