# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A whole study: arms, seeds, controls and what they show, ``mmw2s study``.

It stands on all other floors; nothing imports it.
"""
from .arms import ARMS, Arm
from .plan import Plan, make_plan
from .result import Result
from .run import run_study
from .study_file import Study

__all__ = ['ARMS', 'Arm', 'Plan', 'Result', 'Study', 'make_plan', 'run_study']
