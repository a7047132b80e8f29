# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How long the latest steps and validations of a run took."""
from statistics import median
from typing import List, Optional

from mmw2s.analysis.logged_scalars import Line
from mmw2s.records.files import Rows

__all__ = ['log_seconds', 'step_seconds', 'validation_seconds']

# How many lines or validations count as the latest.
_LATEST = 5


def step_seconds(lines: List[Line], history: Rows) -> Optional[float]:
    """Seconds of a step lately; None if they are not known.

    Args:
        lines (list[Line]): Training lines of the log.
        history (list[dict]): Validations, as in ``time_to_target.json``. They
            are looked at if the log has no times.
    """
    logged = [
        line.scalars.get('time', line.scalars.get('train/time'))
        for line in lines[-_LATEST:]
    ]
    times = [seconds for seconds in logged if seconds is not None]
    if times:
        return median(times)
    clocks = [(0, 0.)] + [(x['iter'], x['train_seconds']) for x in history]
    (first, began), (last, ended) = clocks[-2:] if history else clocks * 2
    return (ended - began) / (last - first) \
        if last > first and None not in (began, ended) else None


def validation_seconds(history: Rows, scoring: float) -> Optional[float]:
    """Seconds of a validation lately; None if they are not known.

    By so much the wall clock goes ahead of the clock of training.

    Args:
        history (list[dict]): Validations, as in ``time_to_target.json``.
        scoring (float): Seconds of scoring the teacher, before all steps.
    """
    if not history or any(row['wall_seconds'] is None for row in history):
        return None
    ahead = [scoring] + [
        row['wall_seconds'] - row['train_seconds'] for row in history
    ]
    spent = [b - a for a, b in zip(ahead, ahead[1:])][-_LATEST:]
    return max(median(spent), 0.)


def log_seconds(lines: List[Line]) -> float:
    """Seconds from one line of the log to the next."""
    if len(lines) < 2:
        return 0.
    apart = lines[-1].scalars['iter'] - lines[-2].scalars['iter']
    return max(apart, 0) * (step_seconds(lines, []) or 0.)
