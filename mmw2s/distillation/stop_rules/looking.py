# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Stop rules that look at training steps, and need no validation."""
from abc import ABCMeta, abstractmethod
from typing import Any, Dict, List, Optional

from mmw2s.records.flat_curve import is_flat
from mmw2s.registry import STOP_RULES
from mmw2s.utils.fields import check_integer, check_number
from mmw2s.utils.text import plural
from .base import StopRule

__all__ = ['LookingRule', 'StopOnConflict', 'StopOnSaturation']

# Events of the record, each with one value for each key that was looked at.
COSINE, LOSS = 'cosine', 'kd_loss'
# The key of all entries together.
ALL = 'all'


class LookingRule(StopRule, metaclass=ABCMeta):
    """Base class of the rules that look at a step now and then.

    It is due in the first iteration that distills in each ``interval``. What
    was seen is a row of the record. An average of it decides.

    Args:
        interval (int): Number of iterations between two looks.
        momentum (float): Momentum of the moving average over looks.
        latest (float, optional): Share of the run (0 to 1) after which the
            distillation ends at the latest.

    Raises:
        ValueError: If a field is out of range.
    """

    #: The event of the rows that it is for.
    looks_at: str

    def __init__(self, interval: int, momentum: float,
                 latest: Optional[float]) -> None:
        super().__init__(latest)
        name = type(self).__name__
        check_integer(f'{name}.interval', interval, at_least=1)
        check_number(f'{name}.momentum', momentum, at_least=0, below=1)
        self.interval, self.momentum = interval, momentum
        self.mean: Optional[float] = None
        self._latest_look = 0

    def is_due(self, iteration: int) -> bool:
        """Whether it wants to look at an iteration, counted from 0."""
        return (iteration + 1) // self.interval > \
            self._latest_look // self.interval

    def after(self, row: Dict[str, Any]) -> Optional[str]:
        key = self.entry or ALL
        if row['event'] != self.looks_at or key not in row['values'] or \
                not self.is_due(row['iter'] - 1):
            return None
        self._latest_look = row['iter']
        value = row['values'][key]
        if value is None:  # an overflow in mixed precision
            return None
        before = value if self.mean is None else self.mean
        self.mean = self.momentum * before + (1 - self.momentum) * value
        return self._decide()

    @abstractmethod
    def _decide(self) -> Optional[str]:
        """The reason to stop, now that :attr:`mean` is new."""


@STOP_RULES.register_module()
class StopOnConflict(LookingRule):
    r"""Stop when the distillation pulls against the task.

    With the gradients of the task's loss and of the distillation's on the
    student's maps :math:`h` that the entries name, averaged over looks,

    .. math::
        \cos(\nabla_h L_{task}, \nabla_h L_{kd}) < threshold

    for some looks in a row. The criterion is that of `Adapting Auxiliary
    Losses Using Gradient Similarity <https://arxiv.org/abs/1812.02224>`_,
    which drops an auxiliary loss where the cosine is negative.

    Args:
        interval (int): Number of iterations between two looks. Each costs a
            backward of both losses down to the maps. Defaults to 50.
        threshold (float): What the average cosine falls below. Defaults to 0.
        looks (int): For so many looks in a row. Defaults to 3.
        momentum (float): Momentum of the moving average over looks. Defaults
            to 0.8.
        latest (float, optional): Share of the run (0 to 1) after which the
            distillation ends at the latest. Defaults to 0.5.

    Raises:
        ValueError: If a field is out of range.

    Examples:
        >>> stop = dict(type='StopOnConflict', interval=100)
    """

    looks_at = COSINE

    def __init__(self,
                 interval: int = 50,
                 threshold: float = 0.,
                 looks: int = 3,
                 momentum: float = 0.8,
                 latest: Optional[float] = 0.5) -> None:
        super().__init__(interval, momentum, latest)
        check_number(
            'StopOnConflict.threshold', threshold, at_least=-1, at_most=1)
        check_integer('StopOnConflict.looks', looks, at_least=1)
        self.threshold, self.looks = threshold, looks
        self._count = 0

    def _decide(self) -> Optional[str]:
        self._count = self._count + 1 if self.mean < self.threshold else 0
        if self._count < self.looks:
            return None
        return (f'the cosine of its gradient and the task\'s was below '
                f'{self.threshold:g} in {plural(self._count, "look")}' +
                (' in a row' if self._count > 1 else ''))

    def condition(self) -> Optional[str]:
        return (f'its gradient\'s cosine with the task\'s is below '
                f'{self.threshold:g}')

    def scores(self) -> Dict[str, Any]:
        return dict(metric='gradient cosine', student=self.mean)


@STOP_RULES.register_module()
class StopOnSaturation(LookingRule):
    r"""Stop when the distillation's loss hardly falls any more.

    With the moving average :math:`m` of the loss over looks, it stops once

    .. math::
        \min_{i \le t} m_i > (1 - gain) \min_{i \le t - n} m_i

    where n is ``patience``. The loss is that at full strength, so a schedule
    of the strength does not count. A temperature that changes does: give the
    loss a constant one. The idea is SimpleTuner's, which ends an alignment
    with features whose similarity is flat.

    Args:
        interval (int): Number of iterations between two looks. Defaults to
            20.
        patience (int): Number of looks that have to gain something. Defaults
            to 20.
        min_gain (float): What they have to gain, as a share of the lowest
            average before them. Defaults to 0.02.
        momentum (float): Momentum of the moving average over looks. Defaults
            to 0.9.
        latest (float, optional): Share of the run (0 to 1) after which the
            distillation ends at the latest. Defaults to 0.5.

    Raises:
        ValueError: If a field is out of range.

    Examples:
        >>> stop = dict(type='StopOnSaturation', patience=50)
    """

    looks_at = LOSS

    def __init__(self,
                 interval: int = 20,
                 patience: int = 20,
                 min_gain: float = 0.02,
                 momentum: float = 0.9,
                 latest: Optional[float] = 0.5) -> None:
        super().__init__(interval, momentum, latest)
        check_integer('StopOnSaturation.patience', patience, at_least=1)
        check_number(
            'StopOnSaturation.min_gain', min_gain, at_least=0, below=1)
        self.patience, self.min_gain = patience, min_gain
        self._means: List[float] = []

    def _decide(self) -> Optional[str]:
        self._means.append(self.mean)
        if is_flat(self._means, 'less', self.patience, self.min_gain):
            return (f'its loss fell by less than {self.min_gain:.0%} in '
                    f'{plural(self.patience, "look")}')
        return None

    def condition(self) -> Optional[str]:
        return f'its loss falls by less than {self.min_gain:.0%}'

    def scores(self) -> Dict[str, Any]:
        return dict(metric='distillation loss', student=self.mean)
