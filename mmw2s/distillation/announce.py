# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The end of a distillation in words, for the log before training."""
from typing import Optional, Sequence, Tuple

from .schedules import Schedule
from .stop_rules import StopRule
from .terms import Term

__all__ = ['last_end', 'until_when']


def until_when(schedule: Schedule,
               stop: StopRule,
               max_iters: int,
               iters_per_epoch: float,
               terms: Sequence[Term] = ()) -> str:
    """Until when a distillation is on, as far as it is known before training.

    Args:
        schedule (Schedule): The schedule of the strength, bound to the run.
        stop (StopRule): The stop rule, bound to the run.
        max_iters (int): Number of iterations of the run.
        iters_per_epoch (float): Number of iterations of an epoch.
        terms (Sequence[Term]): What is distilled. Defaults to none.

    Returns:
        str: The first of the known end points, and what may end the
        distillation sooner.
    """
    last, why = last_end(schedule, stop, max_iters, terms)
    text = (f'until epoch {last / iters_per_epoch:.4g}, iteration {last} '
            f'({why})')
    sooner = stop.condition()
    return text if sooner is None else f'{text}, or sooner once {sooner}'


def last_end(schedule: Schedule,
             stop: StopRule,
             max_iters: int,
             terms: Sequence[Term] = ()) -> Tuple[int, str]:
    """The iteration at which a distillation ends at the latest, and why.

    Args:
        schedule, stop, max_iters, terms: As in :func:`until_when`.
    """
    # In the order in which the run checks them in an iteration.
    points = [(stop.ends_at(), 'the stop rule'),
              (schedule.zero_from(), 'the schedule'),
              (_end_of_all(terms), 'the last entry'),
              (max_iters, 'the end of the run')]
    return min(((point, why) for point, why in points if point is not None),
               key=lambda p: p[0])


def _end_of_all(terms: Sequence[Term]) -> Optional[int]:
    """The iteration at which all entries have ended, if that is known."""
    last = 0
    for term in terms:
        points = [
            term.schedule and term.schedule.zero_from(), term.stop
            and term.stop.ends_at()
        ]
        known = [point for point in points if point is not None]
        if not known:
            return None
        last = max(last, min(known))
    return last if terms else None
