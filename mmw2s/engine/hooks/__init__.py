# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .channels_last_hook import ChannelsLastHook
from .sample_grid_hook import SampleGridHook
from .stop_on_signal_hook import StopOnSignalHook
from .stop_when_useful_hook import StopWhenUsefulHook
from .time_to_target_hook import TimeToTargetHook
from .weak_teacher_distill_hook import WeakTeacherDistillHook

__all__ = [
    'ChannelsLastHook', 'SampleGridHook', 'StopOnSignalHook',
    'StopWhenUsefulHook', 'TimeToTargetHook', 'WeakTeacherDistillHook'
]
