# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""*Until when* a run distills.

The state of a rule depends on nothing but the rows of the run's record. A
resumed run gives these rows to the rule again, and so takes the same
decisions.
"""
from .at import At
from .base import StopRule
from .looking import LookingRule, StopOnConflict, StopOnSaturation
from .surpass import SurpassOnTrain, SurpassTeacher

__all__ = [
    'At', 'LookingRule', 'StopOnConflict', 'StopOnSaturation', 'StopRule',
    'SurpassOnTrain', 'SurpassTeacher'
]
