# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How much a teacher can save at most, its own training counted."""
import math
from typing import NamedTuple, Optional

from .run import Run, cost
from .side import Side

__all__ = ['HeadRoom', 'head_room']


class HeadRoom(NamedTuple):
    """The student's cost of the teacher's score, by the teacher's cost of it.

    Attributes:
        value (float): The student's cost divided by the teacher's.
        bound (str): '' if it is known, '>' if half of the baselines or more
            never reached the score.
        score (float): The score.
        student (float): What the baselines spent to reach it, the median.
        teacher (float): What the teacher spent.
        unit (str): ``'train_seconds'``, or ``'wall_seconds'``.
    """
    value: float
    bound: str
    score: float
    student: float
    teacher: float
    unit: str

    def __str__(self) -> str:
        return f'{self.bound}{" " if self.bound else ""}{self.value:.2f}'

    def sentence(self) -> str:
        """The figure and what it means, in words."""
        text = (f'Head-room: {self}. The baseline pays {self} times what the '
                f'teacher pays for the teacher\'s score ({self.score:.4g}).')
        if self.value > 1:
            return text
        return f'{text} A teacher that is trained for one student cannot ' \
            'save time there.' if not self.bound else text


def head_room(baseline: Side, teacher: Optional[Run],
              score: Optional[float]) -> Optional[HeadRoom]:
    """Student's cost to the teacher's score / teacher's cost to it.

    With the teacher's training counted, a student that stood at the teacher's
    score from its first step on would be there this many times sooner than the
    baseline. So this is the most that can be gained at that score; at later
    ones, the time saved is at most the student's cost minus the teacher's.

    Args:
        baseline (Side): Runs of the student without the teacher.
        teacher (Run, optional): The teacher's own training.
        score (float, optional): The teacher's score, as the students' runs
            measured it. Where the teacher's own run never got there, as with
            another precision, its best score is taken.

    Returns:
        HeadRoom | None: None if there is no run of the teacher, or no score
        or time in common.
    """
    if teacher is None or score is None:
        return None
    best = teacher.best(baseline.metric, baseline.rule)
    if best is None:
        return None
    worse = min if baseline.rule == 'greater' else max
    score = worse(score, best['metrics'][baseline.metric])
    row = teacher.first_at(baseline.metric, score, baseline.rule)
    for unit in ('train_seconds', 'wall_seconds'):
        student, is_bound = baseline.median_cost(score, unit)
        spent = cost(teacher, row, unit)
        if math.isfinite(student) and spent > 0:
            return HeadRoom(student / spent, '>' if is_bound else '', score,
                            student, spent, unit)
    return None
