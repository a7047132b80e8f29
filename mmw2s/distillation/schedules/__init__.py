# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""*How strongly* a run distills, and when: values that follow its iterations.

A schedule gives the strength of the distillation or the temperature of a loss.
"""
from .base import Schedule, refuse_no_strength
from .dynamic_temperature import DynamicTemperature
from .follow_gap import FollowGap
from .shapes import Constant, Cosine, Linear, WarmupHoldDecay, Within

__all__ = [
    'Constant', 'Cosine', 'DynamicTemperature', 'FollowGap', 'Linear',
    'Schedule', 'WarmupHoldDecay', 'Within', 'refuse_no_strength'
]
