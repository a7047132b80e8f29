# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math
from dataclasses import dataclass
from statistics import median
from typing import List, Optional, Tuple

from .run import Run, cost

__all__ = ['Side']


@dataclass
class Side:
    """One side of a comparison: the baselines, or the weak-to-strong runs.

    Args:
        name (str): 'baseline' or 'w2s', as reports name it.
        runs (list[Run]): One a seed.
        metric (str): The metric compared.
        rule (str): 'greater' or 'less', its better side.
    """
    name: str
    runs: List[Run]
    metric: str
    rule: str

    def reached(self,
                value: float,
                for_good: bool = False) -> List[Optional[dict]]:
        """The validation at which each run first reached a value.

        Args:
            value (float): Of the metric.
            for_good (bool): Whether the next validation must reach it too.
                Defaults to False.

        Returns:
            list[dict | None]: A row for each run, None where it never did.
        """
        return [(run.first_for_good if for_good else run.first_at)(self.metric,
                                                                   value,
                                                                   self.rule)
                for run in self.runs]

    def costs(self,
              value: float,
              unit: str,
              for_good: bool = False) -> List[float]:
        """What each run spent to reach a value, infinite where it never did.

        Args:
            value (float): Of the metric.
            unit (str): One of :data:`~mmw2s.analysis.run.UNITS`.
            for_good (bool): As of :meth:`reached`.
        """
        return [
            math.inf if row is None else cost(run, row, unit)
            for run, row in zip(self.runs, self.reached(value, for_good))
        ]

    def median_cost(self,
                    value: float,
                    unit: str,
                    for_good: bool = False) -> Tuple[float, bool]:
        """The median cost, and whether it is only a lower bound.

        It is one when half of the runs or more did not reach the value: they
        would have needed more than they had spent at their end.
        """
        costs = self.costs(value, unit, for_good)
        if math.isfinite(median(costs)):
            return median(costs), False
        return median(
            min(c, cost(run, run.history[-1], unit))
            for c, run in zip(costs, self.runs)), True

    def total(self, unit: str) -> float:
        """The median cost of the whole runs."""
        return median(cost(run, run.history[-1], unit) for run in self.runs)

    def bests(self) -> List[float]:
        """The best value of each run that has one."""
        best = [run.best(self.metric, self.rule) for run in self.runs]
        return [row['metrics'][self.metric] for row in best if row]

    def median_best(self) -> Optional[float]:
        """Median over runs of the best value; None if none has a value."""
        scores = self.bests()
        return median(scores) if scores else None

    def final_quality(self) -> Optional[float]:
        """A value that is as good as this side's best, up to its noise.

        It is the median best, made worse by the spread of the seeds: the
        largest best minus the smallest. None if no run has a value.
        """
        scores = self.bests()
        if not scores:
            return None
        spread = max(scores) - min(scores)
        return median(scores) + (spread if self.rule == 'less' else -spread)
