# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare how fast two groups of runs reached targets."""
from dataclasses import dataclass, field
from typing import List, NamedTuple, Optional, Tuple

from mmw2s.records.operating_band import Judgement, judge_teacher
from .head_room import HeadRoom, head_room
from .run import TIME_UNITS, Run, cost, known_units
from .side import Side
from .verdict import sentences

__all__ = ['Comparison', 'Speedup', 'Target']


class Speedup(NamedTuple):
    """Median cost of the baselines divided by that of the w2s runs.

    Attributes:
        value (float, optional): The factor. None if neither group reached the
            target.
        bound (str): '' if both medians are known. '>' if the baselines did not
            reach the target: the factor is larger than ``value``. '<' if the
            w2s runs did not: the factor is smaller than ``value``.
    """
    value: Optional[float]
    bound: str = ''

    @property
    def is_faster(self) -> bool:
        """Whether the w2s runs certainly cost less."""
        return self.value is not None and self.bound != '<' and (
            self.value >= 1 if self.bound else self.value > 1)

    @property
    def is_no_gain(self) -> bool:
        """Whether the w2s runs certainly cost as much, or more."""
        return self.value is not None and self.bound != '>' and self.value <= 1

    def __str__(self) -> str:
        if self.value is None:
            return 'neither reached'
        return f'{self.bound}{" " if self.bound else ""}{self.value:.2f}x'


class Target(NamedTuple):
    """A value of the metric that the runs should reach.

    Attributes:
        value (float): The value.
        label (str): The value in words, such as '0.36 (90% of baseline)'.
    """
    value: float
    label: str


@dataclass
class Comparison:
    """The result of :func:`mmw2s.analysis.compare`.

    Args:
        metric (str): The metric compared.
        rule (str): 'greater' or 'less': which scores are better.
        baseline (Side): Runs without a teacher.
        w2s (Side): Weak-to-strong runs: runs with a weak teacher.
        teacher (Run, optional): The teacher's own training.
        targets (list[Target]): From the easiest to the hardest.
        notes (list[str]): Facts that limit what the numbers show.
    """
    metric: str
    rule: str
    baseline: Side
    w2s: Side
    teacher: Optional[Run]
    targets: List[Target]
    notes: List[str] = field(default_factory=list)

    @property
    def sides(self) -> Tuple[Side, Side]:
        """Both of them, the baseline first."""
        return self.baseline, self.w2s

    @property
    def runs(self) -> List[Run]:
        """The runs of both sides, without the teacher's."""
        return self.baseline.runs + self.w2s.runs

    @property
    def units(self) -> List[str]:
        """The keys of :data:`~mmw2s.analysis.run.UNITS` that are known for
        all runs, so that the runs can be compared in them."""
        return known_units(self.runs)

    @property
    def progress_unit(self) -> str:
        """'epoch', or 'iter' if the epochs of some run are not known."""
        return 'epoch' if 'epoch' in self.units else 'iter'

    @property
    def clock_unit(self) -> Optional[str]:
        """'wall_seconds', else 'train_seconds', else None."""
        return next((unit for unit in ('wall_seconds', 'train_seconds')
                     if unit in self.units), None)

    @property
    def teacher_units(self) -> List[str]:
        """The units in which the cost of the teacher's training is known."""
        return [
            unit for unit in TIME_UNITS
            if unit in self.units and self.teacher and self.teacher.knows(unit)
        ]

    def teacher_cost(self, unit: str) -> float:
        """Cost of the teacher's own training up to its last validation.

        It is 0 without a run of the teacher. It is also 0 in epochs and
        iterations, because those of another model cannot be added.
        """
        if self.teacher is None or unit not in TIME_UNITS:
            return 0.
        return cost(self.teacher, self.teacher.history[-1], unit)

    def speedup(self,
                target: Target,
                unit: str,
                with_teacher: bool = False,
                for_good: bool = False) -> Speedup:
        """Speed-up of the medians, in one of :attr:`units`.

        The median of a group is not known if half of its runs or more did not
        reach the target. Reaching it would have cost these runs more than
        their whole length. This gives a bound of the speed-up.

        Args:
            target (Target): One of the targets.
            unit (str): One of :attr:`units`.
            with_teacher (bool): Whether the cost of the teacher's training is
                added to the w2s runs. Defaults to False.
            for_good (bool): Whether the next validation must reach the target
                too. Defaults to False.
        """
        extra = self.teacher_cost(unit) if with_teacher else 0.
        (base, bound_base), (w2s, bound_w2s) = (
            side.median_cost(target.value, unit, for_good)
            for side in self.sides)
        if (bound_base and bound_w2s) or w2s + extra <= 0:
            return Speedup(None)
        bound = '>' if bound_base else '<' if bound_w2s else ''
        return Speedup(base / (w2s + extra), bound)

    @property
    def final_quality(self) -> Optional[Target]:
        """What counts as the baselines' final quality, see
        :meth:`~mmw2s.analysis.side.Side.final_quality`."""
        value = self.baseline.final_quality()
        return None if value is None else Target(
            value, f'{value:.4g} (final quality)')

    @property
    def counted_unit(self) -> str:
        """The unit to count the teacher in: a time that its run tells too, if
        there is one, and the wall clock before the training time."""
        return next((unit for unit in ('wall_seconds', 'train_seconds')
                     if unit in self.teacher_units), self.clock_unit
                    or self.progress_unit)

    def owes_teacher(self, side: Side) -> bool:
        """Whether runs of a side had a teacher whose cost is not known."""
        return self.counted_unit not in self.teacher_units and any(
            run.had_teacher for run in side.runs)

    def share(self,
              side: Side,
              target: Target,
              unit: str,
              with_teacher: bool = False) -> Optional[float]:
        """A side's median cost of a target, as a share of the baselines'
        median cost of their whole runs.

        Args:
            side (Side): One of :attr:`sides`.
            target (Target): A value of the metric.
            unit (str): One of :attr:`units`.
            with_teacher (bool): Whether the cost of the teacher's training is
                added. Defaults to False.

        Returns:
            float | None: None if half of the runs or more never reached it.
        """
        spent, is_bound = side.median_cost(target.value, unit)
        whole = self.baseline.total(unit)
        if is_bound or not whole > 0:
            return None
        return (spent +
                (self.teacher_cost(unit) if with_teacher else 0.)) / whole

    def head_room(self) -> Optional[HeadRoom]:
        """What a teacher can save here at most, its own training counted."""
        return head_room(self.baseline, self.teacher, self.teacher_score())

    def verdict(self) -> List[str]:
        """The result in sentences; says so if there is no speed-up."""
        return sentences(self)

    def teacher_score(self) -> Optional[float]:
        """The teacher's score as a w2s run measured it, else the last score
        of the teacher's own run, else None."""
        for run in self.w2s.runs:
            event = run.teacher or {}
            score = event.get('metrics', {}).get(self.metric)
            if score is None and event.get('metric') == self.metric:
                score = event.get('score')
            if score is not None:
                return score
        rows = self.teacher.rows(self.metric) if self.teacher else []
        return rows[-1]['metrics'][self.metric] if rows else None

    def judge_teacher(self) -> Optional[Judgement]:
        """The teacher compared with the median best of the baselines.

        None if one of the two is not known, or if the best is not positive.
        """
        score, best = self.teacher_score(), self.baseline.median_best()
        if score is None or best is None or best <= 0:
            return None
        return judge_teacher(score, best, self.rule)
