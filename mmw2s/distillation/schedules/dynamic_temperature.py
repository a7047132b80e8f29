# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional, Sequence, Union

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor

from mmw2s.registry import SCHEDULES
from ..knowledge import Pair
from .shapes import Cosine

__all__ = ['DynamicTemperature']


@SCHEDULES.register_module()
class DynamicTemperature(Cosine):
    r"""A temperature that falls later while the student is far behind.

    From `Dynamic Temperature Scheduler for Knowledge Distillation
    <https://arxiv.org/abs/2511.13767>`_, for scores with labels. With the
    cross entropies :math:`CE_t` of the teacher and :math:`CE_s` of the student
    at a temperature of 1, averaged over ranks, the temperature after the batch
    of iteration i of n becomes

    .. math::
        d = CE_t - CE_s, \quad s = d / (d + 1), \quad
        T^* = \frac{T_0}{2} \left(1 + \cos \frac{\pi i}{n}\right) k(s), \quad
        T \leftarrow 0.9 \, T + 0.1 \, T^*

    where :math:`T^*` is clamped to [``low``, ``start``].

    In the authors' code, :math:`k(s)` is s if s > 1, and 1 otherwise. s > 1
    means that the student's loss is more than 1 above the teacher's (d < -1).
    Otherwise, and when the student has surpassed a weak teacher (d > 0), the
    temperature follows the cosine. s has a pole at d = -1, so here
    :math:`k(s) = clamp(s, 1, 2)`, and 1 if d is not finite.

    Args:
        start (float): :math:`T_0`, the first and highest temperature; the
            paper takes 3 to 6. Defaults to 4.0.
        low (float): The lowest temperature. Defaults to 2.0.
        length (float, optional): n, in ``unit``. Defaults to None, the whole
            run.
        unit (str): Unit of ``length``: 'epoch', 'iter' or 'run' (a share of
            the run). Defaults to 'epoch'.

    Raises:
        ValueError: If not 0 < ``low`` <= ``start``.

    Examples:
        >>> temperature = dict(type='DynamicTemperature', start=4., low=2.)
    """

    needs_target = True
    _momentum = 0.9

    def __init__(self,
                 start: float = 4.,
                 low: float = 2.,
                 length: Optional[float] = None,
                 unit: str = 'epoch') -> None:
        super().__init__(start, 0., length=length, unit=unit)
        self._check(low=low)
        if not 0 < low <= start:
            raise ValueError('DynamicTemperature needs 0 < low <= start, but '
                             f'got low={low}, start={start}')
        self.low = float(low)
        self._now: Union[float, Tensor] = self.start

    def value(self, iter: int) -> Union[float, Tensor]:
        """``start``; after the first batch a tensor of shape ().

        The tensor stays on the device, so that nothing waits for it.
        """
        return self._now

    def zero_from(self) -> Optional[int]:
        return None

    @torch.no_grad()
    def update(self, iter: int, pairs: Sequence[Pair]) -> None:
        gap = torch.stack([
            _cross_entropy(pair.teacher, pair.target) -
            _cross_entropy(pair.student, pair.target) for pair in pairs
        ]).mean()
        all_reduce(gap, 'mean')
        scale = torch.nan_to_num(gap / (gap + 1), nan=1.).clamp(1., 2.)
        target = (super().value(iter) * scale).clamp(self.low, self.start)
        now = torch.as_tensor(self._now, device=gap.device)
        self._now = now.lerp(target, 1 - self._momentum)

    def state_dict(self) -> dict:
        return dict(temperature=float(self._now))

    def load_state_dict(self, state: dict) -> None:
        self._now = torch.tensor(state['temperature'])


def _cross_entropy(logits: Tensor, target: Optional[Tensor]) -> Tensor:
    if target is None:
        raise ValueError(
            'temperature=DynamicTemperature needs one label a sample, but the '
            'knowledge gives none: use another schedule')
    return F.cross_entropy(logits.float(), target)
