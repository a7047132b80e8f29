# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional, Sequence, Union

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor

from mmw2s.registry import SCHEDULES
from .knowledge import Pair
from .schedules import Cosine

__all__ = ['DynamicTemperature']


@SCHEDULES.register_module()
class DynamicTemperature(Cosine):
    r"""A temperature that falls later while the student is far behind.

    For scores with labels. From `Dynamic Temperature Scheduler for Knowledge
    Distillation <https://arxiv.org/abs/2511.13767>`_: after each batch, in
    iteration i of n,

    .. math::
        d = CE_T - CE_S, \quad s = d / (d + 1), \quad
        T^* = \frac{T_0}{2} \left(1 + \cos \frac{\pi i}{n}\right) k(s), \quad
        T \leftarrow 0.9 \, T + 0.1 \, T^*

    with the cross-entropies of teacher and student at a temperature of 1,
    averaged over ranks, and :math:`T^*` clamped to [``low``, ``start``]. The
    authors' code takes :math:`k(s) = s` where s > 1, which is where the
    student's loss is more than 1 above the teacher's (d < -1), and 1
    elsewhere: nearer than that, and once a weak teacher is surpassed (d > 0),
    the cosine is all. Ours is :math:`k(s) = clamp(s, 1, 2)`: bounded near the
    pole at d = -1, and 1 where d is not finite.

    Args:
        start (float): :math:`T_0`, the first and highest temperature; the
            paper takes 3 to 6. Defaults to 4.0.
        low (float): The lowest. Defaults to 2.0.
        length (float, optional): n, in ``unit``. Defaults to None, the whole
            run.
        unit (str): 'epoch', 'iter' or 'run' (a share of it). Defaults to
            'epoch'.

    Raises:
        ValueError: If not 0 < ``low`` <= ``start``.
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
        """``start``, and from the first batch on a 0-dim tensor.

        That one stays on the device, so that nothing has to wait for it.
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
