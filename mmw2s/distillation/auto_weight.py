# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Dict, Optional

import torch
from torch import Tensor

from mmw2s.utils.fields import check_number

__all__ = ['AutoWeight']


class AutoWeight:
    r"""A loss weight that holds a distillation loss at a share of the task's.

    .. math:: w = r \, \overline{L_{task}} / \overline{L_{kd}}

    with exponential moving averages of the two losses before weighting, as
    plain numbers: no gradient flows through the weight. Losses that are not
    finite, as some are under mixed precision, are no part of the averages.
    Everything stays on the device.

    Args:
        ratio (float): The share r. Defaults to 0.5.
        momentum (float): Of the averages, by step. Defaults to 0.99.
        eps (float): Added to the distillation loss's average, which is near 0
            once the student imitates well. Defaults to 1e-4.
    """

    def __init__(self,
                 ratio: float = 0.5,
                 momentum: float = 0.99,
                 eps: float = 1e-4) -> None:
        check_number('AutoWeight.ratio', ratio, above=0)
        check_number('AutoWeight.momentum', momentum, at_least=0, below=1)
        check_number('AutoWeight.eps', eps, at_least=0)
        self.ratio, self.momentum, self.eps = ratio, momentum, eps
        self._means: Optional[Tensor] = None

    def __call__(self, task_loss: Tensor, kd_loss: Tensor) -> Tensor:
        """The weight after this step's losses, 0-dim.

        Args:
            task_loss (Tensor): 0-dim, averaged over ranks.
            kd_loss (Tensor): 0-dim, averaged over ranks.
        """
        now = torch.stack([task_loss, kd_loss]).detach().float()
        old = torch.full_like(now, torch.nan) if self._means is None else \
            self._means.to(now.device)
        new = torch.where(old.isfinite(), old.lerp(now, 1 - self.momentum),
                          now)
        self._means = torch.where(now.isfinite().all(), new, old)
        task, kd = self._means
        return self.ratio * task / (kd + self.eps)

    def state_dict(self) -> Dict[str, list]:
        """The averages as plain numbers, for a checkpoint."""
        return dict(
            means=None if self._means is None else self._means.tolist())

    def load_state_dict(self, state: Dict[str, list]) -> None:
        means = state['means']
        self._means = None if means is None else torch.tensor(means)
