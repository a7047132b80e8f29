# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the log says of the end of a distillation, before it begins."""
from .schedules import Schedule
from .stop_rules import StopRule

__all__ = ['until_when']


def until_when(schedule: Schedule, stop: StopRule, max_iters: int,
               iters_per_epoch: float) -> str:
    """Until when a distillation is on, as far as it is known.

    Args:
        schedule (Schedule): Its strength, bound.
        stop (StopRule): Its stop rule, bound.
        max_iters (int): Iterations of the run.
        iters_per_epoch (float): Iterations of an epoch.

    Returns:
        str: The point that is fixed, whichever comes first, and what may end
        it sooner.
    """
    # In the order in which they are asked in one iteration.
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
