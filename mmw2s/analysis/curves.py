# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The points of learning curves: medians over runs, and their range."""
from statistics import median
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .run import TIME_UNITS, Run, cost

__all__ = ['Curve', 'Plane', 'switched_off_at']


class Curve(NamedTuple):
    """Medians over runs and their range, at iterations in ascending order."""
    iters: List[int]
    x: List[float]
    y: List[float]
    low: List[float]
    high: List[float]

    def at(self, iterations: Sequence[int]) -> List[Tuple[float, float]]:
        """x and y at iterations, between the points along straight lines."""
        return list(
            zip(*(np.interp(iterations, self.iters, values).tolist()
                  for values in (self.x, self.y))))


class Plane:
    """What is on the axes of a figure, and the points of runs on it.

    Args:
        metric (str): The metric on the y axis.
        unit (str): The key of a row that is on the x axis.
        scale (float): Divisor of x. Defaults to 1.
    """

    def __init__(self, metric: str, unit: str, scale: float = 1.) -> None:
        self.metric, self.unit, self.scale = metric, unit, scale

    def begin(self, teacher: Optional[Run]) -> float:
        """Where a run with this teacher begins: at what the teacher cost."""
        if teacher is None or self.unit not in TIME_UNITS or \
                not teacher.knows(self.unit):
            return 0.
        return cost(teacher, teacher.history[-1], self.unit) / self.scale

    def points(self, run: Run) -> Dict[int, Tuple[float, float]]:
        """x and y of a run, by iteration."""
        return {
            r['iter']: (r[self.unit] / self.scale, r['metrics'][self.metric])
            for r in run.rows(self.metric)
        }

    def curve(self,
              runs: Sequence[Run],
              teacher: Optional[Run] = None) -> Curve:
        """The medians over runs, at iterations where all were validated."""
        begin, found = self.begin(teacher), [self.points(r) for r in runs]
        iters = sorted(set.intersection(*map(set, found)))
        at = [[points[i] for points in found] for i in iters]
        scores = [[y for _, y in each] for each in at]
        return Curve(iters,
                     [begin + median(x for x, _ in each) for each in at],
                     *(list(map(take, scores)) for take in (median, min, max)))


def switched_off_at(runs: Sequence[Run]) -> List[int]:
    """The iterations at which the distillation of runs ended.

    A run that only starts from its teacher has nothing to switch off.
    """
    return sorted({run.stop['iter'] for run in runs if run.stop} - {0})
