# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Watch during training whether the teacher is good enough."""
import logging
import math
from typing import Any, Dict, Optional, Sequence

from mmengine.logging import print_log

from mmw2s.records.operating_band import LOW, Judgement, judge_teacher
from mmw2s.records.targets import infer_rule

__all__ = ['EARLY', 'TeacherWatch']

#: A teacher that is surpassed in the first validation, or within this share of
#: the run, is probably too weak. In all experiments, useful teachers were
#: surpassed later.
EARLY = 0.2


class TeacherWatch:
    """Compares the teacher's score with each validation of the student.

    The student's best score can only become better. So a teacher that is too
    weak for the best so far stays too weak, and a warning comes at once.

    Args:
        metric (str): Name of the metric.
        score (float): The teacher's score.
        rule (str): 'greater' or 'less': which scores are better.
        max_iters (int): Number of iterations of the run.
        which (str): Names it, put after "the teacher", in a run that has
            several. Defaults to ``''``.

    Examples:
        >>> watch = TeacherWatch('coco/bbox_mAP', 0.2, 'greater', 9000)
        >>> watch.see(dict(iter=1000, metrics={'coco/bbox_mAP': 0.3}))
    """

    def __init__(self,
                 metric: str,
                 score: float,
                 rule: str,
                 max_iters: int,
                 which: str = '') -> None:
        self.metric, self.score, self.rule = metric, score, rule
        self.max_iters = max_iters
        self.which = which
        #: The student's best score so far; None before the first validation.
        self.student_best: Optional[float] = None
        self._validations = 0
        self._knows_the_latest = True
        self._told: Optional[str] = None

    @classmethod
    def of_record(cls,
                  rows: Sequence[Dict[str, Any]],
                  max_iters: int,
                  rule: Optional[str] = None,
                  student_best: Optional[float] = None,
                  which: str = '') -> Optional['TeacherWatch']:
        """Build a watch that knows the validations of a record.

        Args:
            rows (list[dict]): Rows of the record.
            max_iters (int): Number of iterations of the run.
            rule (str, optional): 'greater' or 'less'. Defaults to None:
                inferred from the metric's name.
            student_best (float, optional): :attr:`student_best` of the run
                that is resumed. The record ends at the stop, so it may not
                have the best score. Defaults to None.
            which (str): As in the class. Defaults to ``''``.

        Returns:
            TeacherWatch or None: The watch; None if the teacher has no score,
            or if it is not known which scores are better.
        """
        teacher = next((r for r in rows if r['event'] == 'teacher'), {})
        metric, score = teacher.get('metric'), teacher.get('score')
        if not metric or not isinstance(score, (int, float)):
            return None
        try:
            watch = cls(metric, score, infer_rule(metric, rule), max_iters,
                        which)
        except ValueError:  # it is not known which scores are better
            return None
        for row in rows:
            if row['event'] == 'val':
                watch.see(row)
        if student_best is not None:
            watch.see(dict(iter=max_iters, metrics={metric: student_best}))
        # A checkpoint is saved before the validation of the same iteration.
        # After the stop, the record does not have that validation either.
        watch._knows_the_latest = all(r['event'] != 'stop' for r in rows)
        return watch

    def tell(self, row: Dict[str, Any]) -> None:
        """Take a validation into account, and log a warning if there is one.
        """
        warning = self.see(row)
        self._knows_the_latest = True
        # After the last validation, the verdict says it.
        if warning is not None and row['iter'] < self.max_iters:
            print_log(warning, logger='current', level=logging.WARNING)

    def tell_at_the_end(self) -> None:
        """Log the verdict on the teacher at the end of the run."""
        judged = self.judge()
        if judged is not None and self._knows_the_latest:
            weak = judged.verdict == 'too weak'
            print_log(
                f'The teacher{self.which}, by the end of the run: '
                f'{self.metric} {self.score:.4g} against the student\'s best '
                f'of {self.student_best:.4g}: {judged}.' +
                (f' {_ADVICE}' if weak else ''),
                logger='current',
                level=logging.WARNING if weak else logging.INFO)

    def see(self, row: Dict[str, Any]) -> Optional[str]:
        """Take a validation into account.

        Args:
            row (dict): A validation with ``iter`` and ``metrics``.

        Returns:
            str or None: A warning; each kind of warning comes once in a run.
        """
        score = row['metrics'].get(self.metric)
        if score is None or not math.isfinite(score):
            return None
        self._validations += 1
        if self.student_best is None or self._is_better(
                score, self.student_best):
            self.student_best = score
        judged = self.judge()
        if judged is not None and judged.verdict == 'too weak':
            found = 'too weak'
        elif self._is_better(self.student_best, self.score) and \
                row['iter'] < self.max_iters and self._is_early(row['iter']):
            found = 'early'
        else:
            return None
        if self._told in (found, 'too weak'):
            return None
        self._told = found
        if found == 'early':
            when = 'in its first validation' if self._validations == 1 else \
                f'after {row["iter"] / self.max_iters:.0%} of the run'
            return (
                f'The student is better than its teacher{self.which} already '
                f'{when} ({self._compared()}): the teacher is probably too '
                f'weak. {_ADVICE}')
        return (f'The teacher{self.which} is too weak: {self._compared()}. '
                f'{_ADVICE}')

    def judge(self) -> Optional[Judgement]:
        """Compare the teacher with the student's best score so far.

        None if the best is not known or not positive, or the teacher's score
        is negative: then there is no share.
        """
        best = self.student_best
        if best is None or best <= 0 or self.score < 0:
            return None
        return judge_teacher(self.score, best, self.rule)

    def so_far(self) -> Optional[str]:
        """Teacher and student's best score in words.

        None before the first validation, and while the student is not better
        than the teacher: then the share means nothing yet.
        """
        judged = self.judge()
        if judged is None or judged.share >= 1:
            return None
        return self._compared()

    def _compared(self) -> str:
        text = (f'{self.metric} {self.score:.4g} against the student\'s best '
                f'so far of {self.student_best:.4g}')
        judged = self.judge()
        return text if judged is None else \
            f'{text}, {judged.share:.0%} as good (useful is {LOW:.0%} or more)'

    def _is_better(self, score: float, other: float) -> bool:
        return score > other if self.rule == 'greater' else score < other

    def _is_early(self, iteration: int) -> bool:
        share = iteration / self.max_iters
        return share <= (0.5 if self._validations == 1 else EARLY)


_ADVICE = (
    'A weak teacher gains little and may lower the final score. Take a later '
    'checkpoint of its training or a larger teacher (`mmw2s choose-teacher '
    'RUN_DIR --student-best SCORE` names the checkpoint), and compare the '
    'final score with that of a run without a teacher.')
