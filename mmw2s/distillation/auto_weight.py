# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The balance between the task's losses and those of the distillation."""
from typing import Any, Dict, Mapping, Optional, Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmw2s.utils.fields import check_number
from .module_share import ModuleShareWeight

__all__ = ['AutoWeight', 'auto_weights', 'weighted_task']


class AutoWeight:
    r"""A loss weight that keeps a distillation loss at a share of the task's.

    .. math:: w = r \, \overline{L_{task}} / \overline{L_{kd}}

    The bars are exponential moving averages of the losses before weighting.
    The weight has no gradient. Losses that are not finite, which happens in
    mixed precision, are left out. Everything stays on the device.

    Args:
        ratio (float): The share r. Defaults to 0.5.
        momentum (float): Momentum of the averages in each step. Defaults to
            0.99.
        eps (float): Added to the average of the distillation loss, which is
            near 0 when student and teacher agree. Defaults to 1e-4.

    Raises:
        ValueError: If a field is out of range.

    Examples:
        >>> auto_weight = AutoWeight(ratio=0.5)
        >>> weight = auto_weight(torch.tensor(2.), torch.tensor(0.1))
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
        """Update the averages and compute the weight.

        Args:
            task_loss (Tensor): Shape (), averaged over ranks.
            kd_loss (Tensor): Shape (), averaged over ranks.

        Returns:
            Tensor: The weight, shape ().
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
        """Restore what :meth:`state_dict` has given."""
        means = state['means']
        self._means = None if means is None else torch.tensor(means)


def auto_weights(terms: Sequence[Any], task_loss: Tensor,
                 losses: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """The weights of the entries that have an automatic one, 0-dim.

    Args:
        terms (Sequence[Term]): The entries of ``distill``.
        task_loss (Tensor): The sum of the student's own losses, 0-dim.
        losses (Mapping[str, Tensor]): Key of an entry -> its loss, 0-dim.

    Returns:
        dict[str, Tensor]: Key of an entry -> its weight.
    """
    auto = [term for term in terms if isinstance(term.auto_weight, AutoWeight)]
    weights = {
        term.key: term.auto_weight()
        for term in terms if isinstance(term.auto_weight, ModuleShareWeight)
    }
    if not auto:
        return weights
    means = torch.stack([task_loss.detach().float()] +
                        [losses[term.key].detach().float() for term in auto])
    all_reduce(means, 'mean')
    weights.update((term.key, term.auto_weight(means[0], mean))
                   for term, mean in zip(auto, means[1:]))
    return weights


def weighted_task(task_losses: Mapping[str, Any], task_weight: float,
                  strength: float) -> Dict[str, Any]:
    """The student's own losses, times ``task_weight`` at full strength.

    The factor goes to 1 as the strength goes to 0.

    Args:
        task_losses (Mapping): The losses that the student's forward returned.
            Entries without "loss" in their name are left out: MMEngine logs
            them, but does not sum them.
        task_weight (float): The factor at strength 1 and above.
        strength (float): The strength of the distillation.

    Returns:
        dict[str, Any]: Name -> the weighted loss, or a list of them.
    """
    weight = 1 + min(strength, 1.) * (task_weight - 1)
    return {
        key: [part * weight
              for part in loss] if isinstance(loss, list) else loss * weight
        for key, loss in task_losses.items() if 'loss' in key
    }
