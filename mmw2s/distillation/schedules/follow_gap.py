# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math
from typing import Any, Dict, Mapping, Optional, Sequence

from mmw2s.records.targets import infer_rule
from mmw2s.registry import SCHEDULES
from mmw2s.utils.fields import check_choice, check_integer, check_number
from ..deciding_metric import deciding_metric, deciding_score
from .base import Schedule

__all__ = ['FollowGap']


@SCHEDULES.register_module()
class FollowGap(Schedule):
    r"""A strength that follows how far the student is behind its teacher.

    With the latest scores (or average losses) :math:`s` of the student and
    :math:`t` of the teacher, the strength is

    .. math::
        peak \cdot clamp\left(\frac{g}{full}, 0, 1\right), \quad
        g = \pm \frac{t - s}{|t|}

    where g > 0 says that the student is worse. It is ``peak`` until both are
    known. It may rise again, so a stop rule has to end the distillation. The
    idea is that of `Kickstarting Deep Reinforcement Learning
    <https://arxiv.org/abs/1803.03835>`_, where the weight of the distillation
    falls as the student comes near to its teacher; there a population of runs
    finds it.

    Args:
        by (str): ``'validation'``: compare scores, after each validation.
            ``'train'``: compare task losses on training batches, as
            :class:`~.stop_rules.SurpassOnTrain` does. Defaults to
            ``'validation'``.
        full (float): The gap, as a share of the teacher's score or loss, from
            which on the strength is ``peak``. Defaults to 0.5.
        peak (float): The highest strength. Defaults to 1.0.
        metric (str): Name of the metric, with ``by='validation'``;
            ``'auto'`` takes the main one. Defaults to ``'auto'``.
        rule (str, optional): ``'greater'`` or ``'less'``: which scores are
            better. Defaults to None: inferred from the metric's name.
        interval (int): Number of iterations between two comparisons, with
            ``by='train'``. Each costs a forward of the teacher with its
            losses. Defaults to 50.
        momentum (float): Momentum of the moving averages of both losses, with
            ``by='train'``. Defaults to 0.8.

    Raises:
        ValueError: If a field is out of range.

    Examples:
        >>> schedule = dict(type='FollowGap', full=0.3)
    """

    follows_rows = True
    span = 0.
    is_over_after_span = False

    def __init__(self,
                 by: str = 'validation',
                 full: float = 0.5,
                 peak: float = 1.0,
                 metric: str = 'auto',
                 rule: Optional[str] = None,
                 interval: int = 50,
                 momentum: float = 0.8) -> None:
        super().__init__()
        check_choice('FollowGap.by', by, ('validation', 'train'))
        check_number('FollowGap.full', full, above=0)
        self._check(peak=peak)
        check_choice('FollowGap.rule', rule, (None, 'greater', 'less'))
        check_integer('FollowGap.interval', interval, at_least=1)
        check_number('FollowGap.momentum', momentum, at_least=0, below=1)
        self.full, self.peak = full, float(peak)
        self.metric, self.rule, self.momentum = metric, rule, momentum
        self.needs_validation = self.needs_teacher_score = by == 'validation'
        self.train_loss_interval = None if self.needs_validation else interval
        self._teacher: Optional[float] = None
        self._means: Dict[str, float] = {}
        self._now = self.peak

    def check_metrics(self, names: Sequence[str]) -> None:
        """Refuse metrics of which none is known as the main one."""
        if self.metric == 'auto':
            infer_rule(deciding_metric(names), self.rule)

    def know_teacher(self, metrics: Mapping[str, float]) -> None:
        """Set the teacher's score."""
        self.metric, self._teacher = deciding_score(self.metric, metrics,
                                                    'FollowGap')
        self.rule = infer_rule(self.metric, self.rule)

    def see(self, row: Mapping[str, Any]) -> None:
        """Follow a validation, or a comparison of training losses."""
        if self.needs_validation:
            score = row['metrics'].get(self.metric) \
                if row['event'] == 'val' else None
            if score is not None:
                self._follow(score, self._teacher, self.rule)
            return
        if row['event'] != 'train' or row['iter'] % self.train_loss_interval:
            return
        latest = {who: row[who] for who in ('student', 'teacher')}
        if all(map(math.isfinite, latest.values())):
            for who, loss in latest.items():
                before = self._means.get(who, loss)
                self._means[who] = (
                    self.momentum * before + (1 - self.momentum) * loss)
            self._follow(self._means['student'], self._means['teacher'],
                         'less')

    def _follow(self, student: float, teacher: float, rule: str) -> None:
        behind = student - teacher if rule == 'less' else teacher - student
        # A teacher at 0 has no share: any gap is a full one.
        gap = behind / abs(teacher) if teacher else math.copysign(
            math.inf, behind)
        self._now = self.peak * min(max(gap / self.full, 0.), 1.)

    def value(self, iter: int) -> float:
        return self._now

    def zero_from(self) -> Optional[int]:
        return 0 if self.peak == 0 else None
