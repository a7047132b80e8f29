# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Rules that compare the student with the teacher."""
import logging
import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from mmengine.logging import print_log

from mmw2s.records.metric_names import rule_warning, scale_warning
from mmw2s.records.operating_band import teacher_warning
from mmw2s.records.targets import infer_rule
from mmw2s.registry import STOP_RULES
from mmw2s.utils.fields import (check_choice, check_integer, check_number,
                                check_text)
from mmw2s.utils.text import plural
from ..deciding_metric import deciding_metric, deciding_score
from .base import StopRule

__all__ = ['SurpassOnTrain', 'SurpassTeacher']


@STOP_RULES.register_module()
class SurpassTeacher(StopRule):
    """Stop when the student's validation score is better than the teacher's.

    If a validation does not have the metric (mmdet gives none if nothing is
    detected), the teacher is not surpassed in it.

    Args:
        metric (str): Name of the metric in validation, such as
            ``'coco/bbox_mAP'``. If the score is to be reported, you may take
            the metric of a second validation set, so that the decision does
            not depend on the reported one. ``'auto'`` takes the main metric of
            the evaluator, see
            :func:`~mmw2s.records.metric_names.main_metric`. Defaults to
            ``'auto'``.
        consecutive (int): Number of validations in a row in which the student
            must be better. Defaults to 2.
        margin (float): How much better the student must be, in units of the
            metric. Defaults to 0.
        rule (str, optional): ``'greater'`` or ``'less'``: which scores are
            better. Defaults to None: inferred from the metric's name.
        teacher_score (str or float): ``'measured'`` scores the teacher once
            before training, by the run's own validation. A number is the
            score. Defaults to ``'measured'``.
        latest (float, optional): Share of the run (0 to 1) after which the
            distillation ends even if the teacher is not surpassed. Defaults
            to 0.5.
        student_best (float, optional): The best score that is expected of the
            student without a teacher. With it, a warning before training says
            if the teacher is too weak or too strong, see
            :mod:`mmw2s.records.operating_band`. Defaults to None.

    Raises:
        ValueError: If a field is out of range, or the rule cannot be inferred
            from the metric's name.

    Examples:
        >>> stop = dict(type='SurpassTeacher', metric='coco/bbox_mAP')
    """

    needs_validation = True

    def __init__(self,
                 metric: str = 'auto',
                 consecutive: int = 2,
                 margin: float = 0.,
                 rule: Optional[str] = None,
                 teacher_score: Union[str, float] = 'measured',
                 latest: Optional[float] = 0.5,
                 student_best: Optional[float] = None) -> None:
        super().__init__(latest)
        check_text('SurpassTeacher.metric', metric, 'the name of a metric')
        check_integer('SurpassTeacher.consecutive', consecutive, at_least=1)
        check_number('SurpassTeacher.margin', margin)
        check_choice('SurpassTeacher.rule', rule, (None, 'greater', 'less'))
        if teacher_score != 'measured':
            check_number('SurpassTeacher.teacher_score, unless "measured",',
                         teacher_score)
            if metric == 'auto':
                raise ValueError('SurpassTeacher.metric should be a name, not '
                                 '"auto", where teacher_score is a number')
        if student_best is not None:
            check_number('SurpassTeacher.student_best', student_best, above=0)
        if metric != 'auto':
            infer_rule(metric, rule)  # raises if the rule has to be given
        self.needs_teacher_score = teacher_score == 'measured'
        self.metric, self.rule = metric, rule
        self.consecutive, self.margin = consecutive, margin
        self.teacher_score: Any = teacher_score
        self.student_best = student_best
        self._count = 0
        self._student: Optional[float] = None
        self._warned = False

    def bind(self,
             max_iters: int,
             iters_per_epoch: float,
             teacher_metrics: Optional[Mapping[str, float]] = None) -> None:
        super().bind(max_iters, iters_per_epoch)
        if self.needs_teacher_score:
            self.metric, self.teacher_score = deciding_score(
                self.metric, teacher_metrics or {})
        given, self.rule = self.rule, infer_rule(self.metric, self.rule)
        for warning in self._warnings(given):
            if warning is not None:
                print_log(warning, logger='current', level=logging.WARNING)

    def _warnings(self, given_rule: Optional[str]) -> List[Optional[str]]:
        metric, score = self.metric, self.teacher_score
        measured = score if self.needs_teacher_score else None
        return [
            teacher_warning(metric, score, self.student_best, self.rule),
            rule_warning(metric, given_rule),
            scale_warning('SurpassTeacher.margin', self.margin, metric,
                          measured, True),
            scale_warning('SurpassTeacher.student_best', self.student_best,
                          metric, measured),
            None if measured is score else scale_warning(
                'SurpassTeacher.teacher_score', score, metric)
        ]

    def check_metrics(self, names: Sequence[str]) -> None:
        if self.metric == 'auto':
            infer_rule(deciding_metric(names), self.rule)
        elif self.metric not in names:
            print_log(
                f'SurpassTeacher.metric is {self.metric!r}, but for the first '
                f'images the evaluator gives {", ".join(names)}',
                logger='current',
                level=logging.WARNING)

    def after(self, row: Dict[str, Any]) -> Optional[str]:
        if row['event'] != 'val':
            return None
        score = self._student = row['metrics'].get(self.metric)
        if self.metric not in row['metrics'] and row['metrics'] and \
                not self._warned:
            self._warned = True
            print_log(
                f'SurpassTeacher.metric is {self.metric!r}, but the '
                f'evaluator gives {", ".join(row["metrics"])}: the teacher '
                'cannot be seen to be surpassed',
                logger='current',
                level=logging.WARNING)
        self._count = self._count + 1 if self._is_better(score) else 0
        if self._count >= self.consecutive:
            return (f'the student surpassed the teacher in '
                    f'{plural(self._count, "validation")}' +
                    (' in a row' if self._count > 1 else ''))
        return None

    def _is_better(self, score: Optional[float]) -> bool:
        if score is None:
            return False
        gain = score - self.teacher_score
        return (gain if self.rule == 'greater' else -gain) > self.margin

    def condition(self) -> Optional[str]:
        sign, margin = ('>', self.margin) if self.rule == 'greater' else \
            ('<', -self.margin)
        times = {
            1: '',
            2: ' twice in a row'
        }.get(self.consecutive, f' {self.consecutive} times in a row')
        return f'{self.metric} {sign} {self.teacher_score + margin:.4g}{times}'

    def scores(self) -> Dict[str, Any]:
        return dict(
            metric=self.metric,
            student=self._student,
            teacher=self.teacher_score)


@STOP_RULES.register_module()
class SurpassOnTrain(StopRule):
    """Stop when the student's task loss is below the teacher's.

    Every ``interval`` iterations both losses are computed on the same training
    batch, averaged over ranks and smoothed. Each is the sum of the losses
    whose names both models have. They can be compared if the heads are of the
    same kind. No validation is needed.

    Args:
        interval (int): Number of iterations between two comparisons. Each
            costs a forward of the teacher with its losses. Defaults to 50.
        momentum (float): Momentum of the moving average over comparisons.
            Defaults to 0.8.
        margin (float): Share of the teacher's loss by which the student's
            must be lower. Defaults to 0.
        min_looks (int): Number of comparisons before the rule may stop, so
            that the averages settle. Defaults to 5.
        latest (float, optional): Share of the run (0 to 1) after which the
            distillation ends at the latest. Defaults to 0.5.

    Raises:
        ValueError: If a field is out of range.

    Examples:
        >>> stop = dict(type='SurpassOnTrain', interval=100)
    """

    def __init__(self,
                 interval: int = 50,
                 momentum: float = 0.8,
                 margin: float = 0.,
                 min_looks: int = 5,
                 latest: Optional[float] = 0.5) -> None:
        super().__init__(latest)
        check_integer('SurpassOnTrain.interval', interval, at_least=1)
        check_number('SurpassOnTrain.momentum', momentum, at_least=0, below=1)
        check_number('SurpassOnTrain.margin', margin, below=1)
        check_integer('SurpassOnTrain.min_looks', min_looks, at_least=0)
        self.train_loss_interval = interval
        self.momentum, self.margin = momentum, margin
        self.min_looks = min_looks
        self._looks = 0
        self._means: Dict[str, float] = {}

    def after(self, row: Dict[str, Any]) -> Optional[str]:
        # Losses that overflow in mixed precision are skipped: they would make
        # the average infinite for good.
        # Other rules may look at other intervals.
        if row['event'] != 'train' or \
                row['iter'] % self.train_loss_interval or not all(
                    math.isfinite(row[who]) for who in ('student', 'teacher')):
            return None
        self._looks += 1
        for who in ('student', 'teacher'):
            mean = self._means.get(who, row[who])
            self._means[who] = (
                self.momentum * mean + (1 - self.momentum) * row[who])
        if self._looks >= self.min_looks and self._means['student'] < \
                (1 - self.margin) * self._means['teacher']:
            return 'the student\'s training loss fell below the teacher\'s'
        return None

    def condition(self) -> Optional[str]:
        return 'the student\'s training loss is below the teacher\'s'

    def scores(self) -> Dict[str, Any]:
        return dict(metric='training loss', **self._means)
