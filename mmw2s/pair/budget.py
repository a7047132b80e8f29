# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a pair has cost, and what its teacher has gained."""
import json
from statistics import mean
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from mmw2s.analysis.run import Run
from mmw2s.analysis.settings import SettingsTable, compare_settings
from mmw2s.analysis.table import Table
from mmw2s.utils.files import atomic_write
from .plan import Plan
from .stages import Stage

__all__ = ['Budget', 'Spent', 'spent_by']


class Spent(NamedTuple):
    """The seconds of a run, as it has recorded them up to its last validation.

    Attributes:
        training (float): Training steps.
        scoring (float): Scoring the teacher; 0 if its score was known.
        validation (float): Validations, and what else a run does.
    """
    training: float = 0.
    scoring: float = 0.
    validation: float = 0.

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)

    def __add__(self, other: 'Spent') -> 'Spent':  # type: ignore[override]
        return Spent(*(a + b for a, b in zip(self, other)))


def spent_by(run: Run) -> Spent:
    """What a run has spent.

    Args:
        run (Run): A run that was recorded by ``TimeToTargetHook``.
    """
    last = run.history[-1]
    scoring = sum(
        event.get('seconds') or 0. for event in run.events
        if event['event'] == 'teacher')
    training = last['train_seconds']
    return Spent(training, scoring,
                 max(0., last['wall_seconds'] - training - scoring))


class Budget:
    """The costs of all stages, and the comparison with the baselines.

    Args:
        plan (Plan): A pair whose stages are done.
        choice (dict, optional): The teacher's checkpoint, of
            :func:`~.best.choose_checkpoint`.
        targets (Sequence[str], optional): See :func:`mmw2s.analysis.compare`.
    """

    def __init__(self,
                 plan: Plan,
                 choice: Optional[Dict[str, Any]] = None,
                 targets: Optional[Sequence[str]] = None) -> None:
        self.plan, self.choice = plan, choice
        self.teacher = self._load([plan.teacher] if plan.teacher else [])
        self.students = self._load(plan.students)
        self.own_baselines = self._load(plan.own_baselines)
        self.comparison: Optional[SettingsTable] = None
        self.problem = 'There is no baseline to compare with: ' \
            '--with-baseline trains it, --baseline DIR names one.'
        if plan.baselines:
            try:
                self.comparison = compare_settings(
                    plan.baselines, {'pair': list(self.students.values())},
                    targets,
                    plan.options.metric,
                    plan.options.rule,
                    unit=self._unit(),
                    teacher=next(iter(self.teacher.values()), None))
            # All stages are done by now.
            except (FileNotFoundError, ValueError) as error:
                self.problem = f'Nothing is compared: {error}.'

    @staticmethod
    def _load(stages: Sequence[Stage]) -> Dict[str, Run]:
        return {stage.name: Run.load(stage.work_dir) for stage in stages}

    def _unit(self) -> str:
        """Runs that validate within an epoch are counted in iterations."""
        rows = next(iter(self.students.values())).history
        whole = all(float(row['epoch']).is_integer() for row in rows)
        return 'epoch' if whole else 'iter'

    def table(self) -> Table:
        """The seconds of each stage, and the sums."""
        rows = [
            _cells(name, spent_by(run)) for name, run in {
                **self.teacher,
                **self.students
            }.items()
        ]
        taught = self._sum(self.students)
        teacher = self._sum(self.teacher)
        rows.append(_cells('teacher and students', teacher + taught))
        count = len(self.students)
        if count > 1:
            one = Spent(*(part / count for part in taught))
            rows.append(_cells('teacher and one student', teacher + one))
        rows += [
            _cells(name, spent_by(run))
            for name, run in self.own_baselines.items()
        ]
        if len(self.own_baselines) > 1:
            rows.append(_cells('baselines', self._sum(self.own_baselines)))
        return Table('Budget, in seconds', [
            'stage', 'training', 'scoring the teacher', 'validation and other',
            'in all'
        ], rows)

    @staticmethod
    def _sum(runs: Dict[str, Run]) -> Spent:
        total = Spent()
        for run in runs.values():
            total += spent_by(run)
        return total

    def print(self) -> None:
        """Print the budget, and the comparison if there are baselines."""
        self.table().print()
        if self.choice is not None:
            print(f'Teacher: iteration {self.choice["iter"]}, '
                  f'{self.choice["metric"]} {self.choice["score"]:.4g}: '
                  f'{self.choice["judged"]}.')
            if self.choice.get('alone'):
                print('It has given its weights alone, nothing is distilled.')
        if self.comparison is not None:
            self.comparison.table().print()
            self.comparison.counted_table().print()
            room = self.comparison.first.head_room()
            if room is not None:
                print(room.sentence())
        else:
            print(self.problem)

    def to_dict(self) -> Dict[str, Any]:
        """All of it, for JSON."""

        def costs(runs: Dict[str, Run]) -> Dict[str, Dict[str, float]]:
            return {
                name: dict(spent_by(run)._asdict(), total=spent_by(run).total)
                for name, run in runs.items()
            }

        teacher = self._sum(self.teacher).total
        students: List[float] = [
            spent_by(run).total for run in self.students.values()
        ]
        return dict(
            teacher=costs(self.teacher),
            chosen=self.choice,
            students=costs(self.students),
            baselines=costs(self.own_baselines),
            total=teacher + sum(students),
            teacher_and_one_student=teacher + mean(students),
            comparison=None if self.comparison is None else json.loads(
                self.comparison.to_json()))

    def save(self, path: str) -> None:
        """Write it as JSON."""
        with atomic_write(path) as file:
            json.dump(self.to_dict(), file, indent=1)


def _cells(name: str, spent: Spent) -> List[str]:
    return [name, *(f'{part:.1f}' for part in (*spent, spent.total))]
