# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Count the time of runs from quiet step times, where clocks were disturbed.

How many iterations a run needs does not depend on what else the machine does.
How long they take does. So the one is taken from the run, and the other from
a benchmark on a quiet machine.
"""
import json
from dataclasses import replace
from typing import NamedTuple, Optional

from .run import Run

__all__ = ['Pace']


class Pace(NamedTuple):
    """What training steps cost, as ``mmw2s benchmark --out`` measured it.

    Attributes:
        baseline (float): Milliseconds of a step without a teacher.
        on (float): A step with the teacher, in steps of the baseline.
        after (float): A step after the teacher has gone, in the same unit.
        teacher (float, optional): A step of the teacher's own training, in
            the same unit; None if it was not measured.
        source (str): The file.
    """
    baseline: float
    on: float
    after: float
    teacher: Optional[float]
    source: str

    @classmethod
    def load(cls, path: str) -> 'Pace':
        """Read the JSON file of a benchmark.

        Ratios are its medians over rounds, which a change of the machine's
        speed between the phases of the benchmark does not touch.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not of ``mmw2s benchmark``.
        """
        with open(path, encoding='utf-8') as file:
            text = file.read()
        try:
            found = json.loads(text)
            ratios = {k: v['median'] for k, v in found['ratios'].items()}
            pace = cls(found['modes']['baseline']['median'],
                       ratios['distillation on / baseline'],
                       ratios['after the stop / baseline, again'],
                       ratios.get("teacher's own training / baseline, again"),
                       path)
            positive = all(x > 0 for x in pace[:4] if x is not None)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f'{path} holds no step times ({error}): expected is the file '
                'that mmw2s benchmark CONFIG --out FILE writes') from error
        if not positive:
            raise ValueError(f'{path} has a step that takes no time: measure '
                             'again with mmw2s benchmark CONFIG --out FILE')
        return pace

    def of_student(self, run: Run) -> Run:
        """A student's run with its time counted.

        A step costs ``on`` until the teacher goes, and ``after`` from then
        on. A run without a record of a teacher has steps of the baseline.

        Args:
            run (Run): A baseline, or a run with a teacher.

        Returns:
            Run: The same run, with ``train_seconds`` counted and
            ``wall_seconds`` unknown.

        Raises:
            ValueError: If the run had several teachers.
        """
        if run.teachers > 1:
            raise ValueError(
                f'{run.name} had several teachers, and {self.source} has the '
                'step of one: leave --pace out, or compare in epochs')
        gone = 0
        if run.had_teacher:
            gone = run.stop['iter'] if run.stop else run.history[-1]['iter']
        later = self.after if run.had_teacher else 1.

        def steps(iteration: int) -> float:
            on = min(iteration, gone)
            return on * self.on + (iteration - on) * later

        return self._clocked(run, steps)

    def of_teacher(self, run: Run) -> Run:
        """The teacher's own training with its time counted.

        Raises:
            ValueError: If its step was not measured.
        """
        if self.teacher is None:
            raise ValueError(
                f'{self.source} does not tell what a step of the teacher\'s '
                'own training costs: measure it with mmw2s benchmark CONFIG '
                '--teacher-config TEACHER_CONFIG --out FILE')
        return self._clocked(run, lambda steps: steps * self.teacher)

    def _clocked(self, run: Run, steps) -> Run:
        seconds = self.baseline / 1000
        return replace(
            run,
            history=[
                dict(
                    row,
                    train_seconds=seconds * steps(row['iter']),
                    wall_seconds=None) for row in run.history
            ])

    def __str__(self) -> str:
        text = (f'a step of the baseline is {self.baseline:.4g} ms, with the '
                f'teacher {self.on:.3f} times that, after it {self.after:.3f} '
                'times')
        if self.teacher is not None:
            text += f", of the teacher's own training {self.teacher:.3f} times"
        return text
