# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The numbers of a study: each arm compared with the baseline."""
import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from mmw2s.analysis.compare_runs import find_targets
from mmw2s.analysis.comparison import Target
from mmw2s.analysis.run import UNITS, Run
from mmw2s.analysis.statistics import (NonInferiority, Reach, SpeedUp,
                                       median_reach, non_inferiority,
                                       paired_speed_up, reach)
from .arms import BASELINE
from .plan import Plan
from .teachers import baselines_best, choice_of

__all__ = ['Cell', 'Numbers']


class Cell(NamedTuple):
    """An arm's way to a target in one unit.

    Attributes:
        reaches (dict): Seed -> time to the target.
        counted (dict): The same with the teacher's training added; empty if
            that is not known or has no such unit.
        speed_up (SpeedUp, optional): Against the baseline; None for itself,
            and where no seed is on both sides.
        counted_speed_up (SpeedUp, optional): The same with the teacher.
    """
    reaches: Dict[int, Reach]
    counted: Dict[int, Reach]
    speed_up: Optional[SpeedUp]
    counted_speed_up: Optional[SpeedUp]


class Numbers:
    """The comparison of all arms with the baseline, as far as there are runs.

    Args:
        plan (Plan): The study.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.runs: Dict[str, Dict[int, Run]] = {
            arm: {
                seed: Run.load(stage.work_dir, stage.name)
                for seed, stage in plan.runs(arm).items() if stage.is_done
            }
            for arm in plan.arms
        }
        every = [run for runs in self.runs.values() for run in runs.values()]
        self.unit = 'epoch' if all(
            float(row['epoch']).is_integer() for run in every
            for row in run.history) else 'iter'
        self.targets, self.waiting = self._targets()
        self._cells: Dict[tuple, Cell] = {}

    def _targets(self) -> Tuple[List[Target], str]:
        """The targets as numbers, and what keeps them from being known."""
        study = self.plan.study
        try:
            best = baselines_best(self.plan)
            if best is None and any(
                    str(target).endswith('%') for target in study.targets):
                return [], (
                    f'The targets ({", ".join(map(str, study.targets))} of '
                    'the median best of the baselines) are known when all '
                    'baselines have finished.')
            return find_targets(study.targets, best, study.rule), ''
        except ValueError as error:  # no such metric, or a best of 0
            return [], f'No target is known: {error}.'

    def teacher_cost(self, arm: str, unit: str) -> Optional[float]:
        """What the training of an arm's teacher has cost; None if that is not
        known, 0 for an arm without one."""
        name = self.plan.teacher_of(arm)
        if name is None:
            return 0.
        costs = (choice_of(self.plan, name) or {}).get('cost')
        if costs is None or unit in ('epoch', 'iter'):
            return None
        return costs.get(unit)

    def reaches(self,
                arm: str,
                target: Target,
                unit: str,
                for_good: bool = False) -> Dict[int, Reach]:
        """Seed -> time to a target, of the runs that have finished."""
        study = self.plan.study
        return {
            seed:
            reach(run, study.metric, target.value, study.rule, unit, for_good)
            for seed, run in self.runs[arm].items() if run.knows(unit)
        }

    def cell(self,
             arm: str,
             target: Target,
             unit: str,
             for_good: bool = False) -> Cell:
        """An arm's way to a target, worked out once."""
        asked = arm, target, unit, for_good
        if asked not in self._cells:
            self._cells[asked] = self._cell(*asked)
        return self._cells[asked]

    def _cell(self, arm: str, target: Target, unit: str,
              for_good: bool) -> Cell:
        own = self.reaches(arm, target, unit, for_good)
        extra = self.teacher_cost(arm, unit)
        counted = {} if extra is None else {
            seed: one._replace(value=one.value + extra)
            for seed, one in own.items()
        }
        base = self.reaches(BASELINE, target, unit, for_good)
        return Cell(
            own, counted,
            *(paired_speed_up(base, other)
              if arm != BASELINE and {*base} & {*other} else None
              for other in (own, counted)))

    def finals(self, arm: str) -> Dict[int, Optional[float]]:
        """Seed -> score of the last validation; None where it has none."""
        return {
            seed: run.last(self.plan.study.metric)
            for seed, run in self.runs[arm].items()
        }

    def not_worse(self, arm: str) -> Optional[NonInferiority]:
        """Whether final scores are not worse; None without runs."""
        base, own = self.finals(BASELINE), self.finals(arm)
        if arm == BASELINE or not base or not own:
            return None
        study = self.plan.study
        return non_inferiority(base, own, study.margin,
                               study.rule == 'greater')

    def to_dict(self) -> Dict[str, Any]:
        """All of it for JSON; infinite numbers are None there."""
        study = self.plan.study
        return _finite(
            dict(
                metric=study.metric,
                rule=study.rule,
                margin=study.margin,
                unit=self.unit,
                targets=[target._asdict() for target in self.targets],
                teachers={
                    name: choice_of(self.plan, name)
                    for name in sorted(
                        {self.plan.teacher_of(a)
                         for a in self.plan.arms} - {None})
                },
                arms={arm: self._arm_dict(arm)
                      for arm in self.plan.arms}))

    def _arm_dict(self, arm: str) -> Dict[str, Any]:
        found = self.not_worse(arm)
        return dict(
            like=self.plan.study.like(arm),
            teacher=self.plan.teacher_of(arm),
            seeds=self.plan.study.seeds_of(arm),
            finished=list(self.runs[arm]),
            final=self.finals(arm),
            not_worse=found and found._asdict(),
            teacher_cost={
                unit: self.teacher_cost(arm, unit)
                for unit in UNITS
            },
            targets=[
                dict(
                    value=target.value,
                    units={
                        unit: {
                            kind:
                            self._cell_dict(
                                self.cell(arm, target, unit, kind != 'first'))
                            for kind in ('first', 'for good')
                        }
                        for unit in UNITS if any(
                            run.knows(unit) for run in self.runs[arm].values())
                    }) for target in self.targets
            ])

    @staticmethod
    def _cell_dict(cell: Cell) -> Dict[str, Any]:
        return dict(
            reaches={
                seed: one._asdict()
                for seed, one in cell.reaches.items()
            },
            median=cell.reaches
            and median_reach(list(cell.reaches.values()))._asdict(),
            speed_up=_speed_up_dict(cell.speed_up),
            speed_up_with_teacher=_speed_up_dict(cell.counted_speed_up))


def _speed_up_dict(found: Optional[SpeedUp]) -> Optional[Dict[str, Any]]:
    if found is None:
        return None
    return dict(
        ratios=found.ratios,
        median=found.median,
        interval=found.interval,
        level=found.level,
        covers_at_most=found.covers_at_most,
        text=str(found))


def _finite(value: Any) -> Any:
    """A value without infinite numbers and NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
