# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The end of a distillation in words, for the log before training."""
from .schedules import Schedule
from .stop_rules import StopRule

__all__ = ['until_when']


def until_when(schedule: Schedule, stop: StopRule, max_iters: int,
               iters_per_epoch: float) -> str:
    """Until when a distillation is on, as far as it is known before training.

    Args:
        schedule (Schedule): The schedule of the strength, bound to the run.
        stop (StopRule): The stop rule, bound to the run.
        max_iters (int): Number of iterations of the run.
        iters_per_epoch (float): Number of iterations of an epoch.

    Returns:
        str: The first of the known end points, and what may end the
        distillation sooner.
    """
    # In the order in which the run checks them in an iteration.
    points = [(stop.ends_at(), 'the stop rule'),
              (schedule.zero_from(), 'the schedule'),
              (max_iters, 'the end of the run')]
    last, why = min(
        ((point, why) for point, why in points if point is not None),
        key=lambda p: p[0])
    text = (f'until epoch {last / iters_per_epoch:.4g}, iteration {last} '
            f'({why})')
    sooner = stop.condition()
    return text if sooner is None else f'{text}, or sooner once {sooner}'
