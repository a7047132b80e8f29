# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare how fast two groups of runs reached targets."""
from dataclasses import dataclass, field
from typing import List, NamedTuple, Optional, Sequence, Tuple

from mmw2s.records.operating_band import Judgement, judge_teacher
from mmw2s.utils.text import plural
from .run import TIME_UNITS, UNITS, Run, cost, known_units
from .side import Side

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

    def verdict(self) -> List[str]:
        """The result in sentences; says so if there is no speed-up."""
        total, said, sooner = len(self.targets), [], []
        clock = self.clock_unit
        kinds = [(self.progress_unit, False)]
        kinds += [(clock, False)] if clock else []
        kinds += [(clock, True)] if clock in self.teacher_units else []
        for unit, with_teacher in kinds:
            name = UNITS[unit] + (" with the teacher's own training added"
                                  if with_teacher else '')
            ups = [self.speedup(t, unit, with_teacher) for t in self.targets]
            sooner.append(sum(up.is_faster for up in ups))
            said.append(f'In {name}: sooner at {sooner[-1]} of '
                        f'{plural(total, "target")} ({self._each(ups)}).')
        for_good = [
            self.speedup(t, self.progress_unit, for_good=True)
            for t in self.targets
        ]
        said.append(
            f'In {UNITS[self.progress_unit]} until reached for good (in two '
            'validations in a row): sooner at '
            f'{sum(up.is_faster for up in for_good)} of '
            f'{plural(total, "target")} ({self._each(for_good)}).')
        progress = sooner[0]
        saved = sooner[1] if clock else progress
        if not progress and not saved:
            said.insert(0, 'No speed-up was measured.')
        elif not saved:
            said.insert(
                0, f'Fewer {UNITS[self.progress_unit]} were needed, but no '
                'time was saved.')
        base, w2s = (side.median_best() for side in self.sides)
        judged = self.judge_teacher()
        if judged is not None:
            said.append(
                f'Teacher: {self.metric} {self.teacher_score():.4g} '
                f"against the baseline's best of {base:.4g}: {judged}.")
        if base is not None and w2s is not None:
            worse = w2s < base if self.rule == 'greater' else w2s > base
            said.append(f'Best {self.metric} (median): baseline {base:.4g}, '
                        f'weak-to-strong {w2s:.4g}' +
                        (': the final quality is lower.' if worse else '.'))
        return said

    def _each(self, speedups: Sequence[Speedup]) -> str:
        return ', '.join(f'{up} at {t.value:.4g}'
                         for up, t in zip(speedups, self.targets))

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
