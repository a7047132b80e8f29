# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How good a teacher should be, compared with its student."""
import math
from typing import NamedTuple, Optional

from mmw2s.utils.fields import check_number

__all__ = [
    'HIGH', 'LOW', 'Judgement', 'check_student_best', 'judge_teacher',
    'teacher_warning'
]

#: A useful teacher reaches at least this share of the student's best score. A
#: much weaker one slows the student down (arXiv:2604.15451).
LOW = 0.85
#: A useful teacher stays below this share. One that is as good as the student,
#: or better, speeds it up little (arXiv:2604.15451).
HIGH = 1.0


class Judgement(NamedTuple):
    """How useful a teacher is for a student.

    Attributes:
        share (float): The teacher's score divided by the student's best. If
            lower scores are better, it is the student's best divided by the
            teacher's score.
        verdict (str): 'too weak', 'useful' or 'too strong'.
    """
    share: float
    verdict: str

    def __str__(self) -> str:
        return (f'{self.share:.0%} as good, {self.verdict} (useful is from '
                f'{LOW:.0%} to below {HIGH:.0%})')


def check_student_best(value: float) -> None:
    """Refuse a best score that nothing can be divided by.

    Raises:
        ValueError: If it is not a positive number.
    """
    check_number('student_best', value, above=0)


def judge_teacher(score: float, student_best: float, rule: str) -> Judgement:
    """Tell whether a teacher is too weak, useful or too strong.

    Args:
        score (float): The teacher's score.
        student_best (float): The best score that the student reaches without
            a teacher.
        rule (str): 'greater' or 'less': which scores are better.

    Returns:
        Judgement: The teacher's share of the best score, and the verdict.

    Raises:
        ValueError: If ``student_best`` is not a positive number.

    Examples:
        >>> judge_teacher(0.36, 0.4, 'greater').verdict
        'useful'
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
    """A warning if the teacher's score is not in the useful band.

    Args:
        metric (str): Name of the metric.
        score (float): The teacher's score.
        student_best (float, optional): The best score that is expected of the
            student. If None, only a score of 0 is warned of.
        rule (str): 'greater' or 'less': which scores are better.

    Returns:
        str or None: What is wrong and what to do; None if the teacher is
        useful.
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
