# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What several seeds of runs say, and how sure it is.

Pure functions of numbers: times to a target, some of them censored, and final
scores. :func:`reach` reads the times from a run.
"""
from .break_even import break_even
from .non_inferiority import NonInferiority, non_inferiority
from .reach import MedianReach, Reach, median_reach, reach
from .speed_up import FEWEST_SEEDS, SpeedUp, paired_speed_up

__all__ = [
    'FEWEST_SEEDS', 'MedianReach', 'NonInferiority', 'Reach', 'SpeedUp',
    'break_even', 'median_reach', 'non_inferiority', 'paired_speed_up', 'reach'
]
