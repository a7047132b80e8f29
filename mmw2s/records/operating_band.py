# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How good a teacher should be, measured against its student."""
import math
from typing import NamedTuple, Optional

from mmw2s.utils.fields import check_number

__all__ = [
    'HIGH', 'LOW', 'Judgement', 'check_student_best', 'judge_teacher',
    'teacher_warning'
]

#: Useful teachers are at least so good as this share of the student's best,
LOW = 0.85
#: and less good than this one. By the account of arXiv:2604.15451, one that is
#: much weaker slows the student down, and one that is not weaker gains little.
HIGH = 1.0


class Judgement(NamedTuple):
    """How good a teacher is for a student.

    Attributes:
        share (float): Its score over the student's best; where less is
            better, the student's best over its score.
        verdict (str): 'too weak', 'useful' or 'too strong'.
    """
    share: float
    verdict: str

    def __str__(self) -> str:
        return (f'{self.share:.0%} as good, {self.verdict} (useful is from '
                f'{LOW:.0%} to below {HIGH:.0%})')


def check_student_best(value: float) -> None:
    """Refuse a best score of which no share can be taken.

    Raises:
        ValueError: If it is not a positive number.
    """
    check_number('student_best', value, above=0)


def judge_teacher(score: float, student_best: float, rule: str) -> Judgement:
    """Tell whether a teacher lies in the useful band.

    Args:
        score (float): The teacher's.
        student_best (float): The student's best, trained without a teacher.
        rule (str): 'greater' or 'less', the better side of the metric.

    Raises:
        ValueError: If ``student_best`` is not a positive number.
    """
    check_student_best(student_best)
    if rule == 'greater':
        share = score / student_best
    else:
        share = student_best / score if score > 0 else math.inf
    if share < LOW:
        return Judgement(share, 'too weak')
    return Judgement(share, 'useful' if share < HIGH else 'too strong')


def teacher_warning(metric: str, score: float, student_best: Optional[float],
                    rule: str) -> Optional[str]:
    """What is wrong with a teacher's score, and what to do; None if nothing.

    Args:
        metric (str): Name of the metric.
        score (float): The teacher's.
        student_best (float, optional): The student's expected best. None:
            only a score of 0 is seen to be wrong.
        rule (str): 'greater' or 'less', the better side of the metric.
    """
    if rule == 'greater' and score == 0:
        return (f'The teacher\'s {metric} is 0: nothing can be learned from '
                'it, and it is surpassed by learning anything at all. '
                'Check its checkpoint and its classes, or train it longer')
    if student_best is None:
        return None
    found = judge_teacher(score, student_best, rule)
    if found.verdict == 'useful':
        return None
    other = 'a later' if found.verdict == 'too weak' else 'an earlier'
    return (f'The teacher\'s {metric} is {score:.4g} where the student is '
            f'expected to reach {student_best:.4g}: {found}. Take {other} '
            'epoch of its training: `mmw2s choose-teacher RUN_DIR '
            f'--student-best {student_best:g}` names the one')
