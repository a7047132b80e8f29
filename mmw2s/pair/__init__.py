# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A teacher, its student and what both cost: the command ``mmw2s pair``.

It stands on all other floors but ``study``, which alone imports it.
"""
from .budget import Budget
from .options import Options
from .plan import Plan, make_plan, prepare
from .run import run_pair
from .stages import Launch, StageFailed

__all__ = [
    'Budget', 'Launch', 'Options', 'Plan', 'StageFailed', 'make_plan',
    'prepare', 'run_pair'
]
