# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The time that a run needs to a target, censored where it never got there."""
import math
from typing import NamedTuple, Sequence

from scipy.stats import CensoredData, ecdf

from mmw2s.records.targets import first_to_stay
from ..run import Run, cost

__all__ = ['MedianReach', 'Reach', 'median_reach', 'reach']


class Reach(NamedTuple):
    """What a run has spent until it reached a target.

    Attributes:
        value (float): That cost. For a run that never reached the target, the
            cost of the whole run: it would have needed more.
        reached (bool): Whether it has. If not, the value is *censored*.
        kind (str): ``'first'``: by the first validation that reached the
            target. ``'for good'``: by the first one from which on all
            validations reached it.
    """
    value: float
    reached: bool
    kind: str = 'first'


class MedianReach(NamedTuple):
    """The median time to a target over several runs.

    Attributes:
        value (float): The median by Kaplan and Meier. Where it is not known,
            a time that it is not below.
        reached (bool): Whether the median is known.
        count (int): How many of the runs have reached the target.
        of (int): Number of runs.
        fastest, slowest (float): The range over the runs. The slowest is
            infinite if a run has not reached the target.
    """
    value: float
    reached: bool
    count: int
    of: int
    fastest: float
    slowest: float


def reach(run: Run,
          metric: str,
          target: float,
          rule: str,
          unit: str = 'epoch',
          for_good: bool = False) -> Reach:
    """Read from a run what it has spent until it reached a target.

    Args:
        run (Run): The run.
        metric (str): Name of the metric.
        target (float): Its value.
        rule (str): 'greater' or 'less': which scores are better.
        unit (str): A key of :data:`~mmw2s.analysis.run.UNITS`, or
            ``'samples'``. Defaults to ``'epoch'``.
        for_good (bool): See :class:`Reach`. Defaults to False.

    Raises:
        ValueError: If the run does not tell its cost in this unit.

    Examples:
        >>> reach(Run.load('work_dirs/b0'), 'coco/bbox_mAP', 0.3, 'greater')
        Reach(value=4.0, reached=True, kind='first')
    """
    row = first_to_stay(run.history, metric, target, rule) if for_good else \
        run.first_at(metric, target, rule)
    spent = cost(run, row or run.history[-1], unit)
    if not math.isfinite(spent):
        raise ValueError(f'the run {run.name} does not tell what it has spent '
                         f'in the unit "{unit}": its record lacks it')
    return Reach(spent, row is not None, 'for good' if for_good else 'first')


def median_reach(reaches: Sequence[Reach]) -> MedianReach:
    """The median of times of which some are censored (Kaplan and Meier 1958).

    Where the share of runs that are not there yet is exactly one half between
    two times, the median is the middle of the two, as it is without censoring.
    If no run is known to have got there later, it is not known; it is not
    below the middle of that time and the end of the next run to end. If more
    than half of the runs are never there, it is not below the largest time.

    Args:
        reaches (Sequence[Reach]): One for each run.

    Raises:
        ValueError: If there is none.

    Examples:
        >>> median_reach([Reach(2, True), Reach(3, True), Reach(9, False)])
        MedianReach(value=3.0, reached=True, count=2, of=3, ...)
    """
    if not reaches:
        raise ValueError('there should be at least one run, but got none')
    there = [r.value for r in reaches if r.reached]
    not_there = [r.value for r in reaches if not r.reached]
    value, known = max(there + not_there), False
    if there:
        curve = ecdf(CensoredData(uncensored=there, right=not_there)).sf
        half = [(time, left)
                for time, left in zip(curve.quantiles, curve.probabilities)
                if left < .5 or math.isclose(left, .5)]
        if half:
            time, left = half[0]
            later = next((t for t, share in half if share < left), None)
            value, known = float(time), True
            if math.isclose(left, .5):
                known = later is not None
                if not known:
                    later = min(end for end in not_there if end >= time)
                value = float(time + later) / 2
    return MedianReach(value, known, len(there), len(reaches),
                       min(there, default=math.inf),
                       math.inf if not_there else max(there))
