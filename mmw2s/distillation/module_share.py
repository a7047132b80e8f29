# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A loss weight that follows the gradient of one module of the student."""
from typing import Dict, Iterable, Optional

import torch
from torch import Tensor, nn

from mmw2s.utils.fields import check_integer, check_number, check_text
from .gradient_share import is_fsdp
from .recorder import find_module

__all__ = ['ModuleShareWeight']

# Bounds of one change of the weight, and of the weight itself.
_CHANGE, _WEIGHT = (0.1, 10.), (1e-3, 1e3)


class ModuleShareWeight:
    r"""A loss weight that holds one module's share of the gradient.

    A distillation of features trains the module that gives them; with too
    large a weight it trains little else. With the norms of the gradients of
    the module and of the whole student, and :math:`p^*` the share to hold,

    .. math::
        p = \frac{\lVert g_{module} \rVert}{\lVert g_{student} \rVert},
        \qquad
        w \leftarrow w \, clamp\left(\frac{p^* (1 - p)}{p \, (1 - p^*)},
        0.1, 10\right)

    The gradients are those of the step itself, read before the optimizer takes
    it, so there is no second backward. p is an average over updates, and the
    weight changes once in each ``interval`` of them. The idea is the
    gradient-guided adaptive modulation of `RT-DETRv4
    <https://arxiv.org/abs/2510.25257>`_, which changes the weight once an
    epoch. Here the weight also stays within 0.001 and 1000, because the
    task alone may give the module a larger share. Everything stays on the
    device.

    Args:
        module (str): Name of the student's module.
        ratio (float): The share :math:`p^*`. Defaults to 0.05.
        momentum (float): Momentum of the average. Defaults to 0.9.
        interval (int): Number of updates that distill between two changes.
            Defaults to 20.

    Raises:
        ValueError: If a field is out of range.

    Examples:
        >>> weight = ModuleShareWeight('neck', ratio=0.05)
        >>> weight.see(student)  # after each backward
        >>> weight()
    """

    def __init__(self,
                 module: str,
                 ratio: float = 0.05,
                 momentum: float = 0.9,
                 interval: int = 20) -> None:
        name = type(self).__name__
        check_text(f'{name}.module', module, 'the name of a module')
        check_number(f'{name}.ratio', ratio, above=0, below=1)
        check_number(f'{name}.momentum', momentum, at_least=0, below=1)
        check_integer(f'{name}.interval', interval, at_least=1)
        self.module, self.ratio = module, ratio
        self.momentum, self.interval = momentum, interval
        self._weight = torch.tensor(1.)
        self._share: Optional[Tensor] = None
        self._seen = 0

    def check(self, student: nn.Module) -> None:
        """Refuse a student without such a module, a frozen one, or FSDP.

        Raises:
            ValueError: The message names the module.
        """
        module = find_module(student, self.module, 'student')
        if is_fsdp(student):
            raise ValueError(
                'auto_module follows whole gradients, which FSDPStrategy cuts '
                'into pieces: leave it out, or use DDPStrategy')
        if not any(p.requires_grad for p in module.parameters()):
            raise ValueError(
                f'the student\'s {self.module} has nothing that is trained, '
                'so its share of the gradient is always 0: name another '
                'module by auto_module')

    def __call__(self) -> Tensor:
        """The weight, 0-dim, without a gradient."""
        return self._weight

    @torch.no_grad()
    def see(self, student: nn.Module) -> None:
        """Look at the gradients of an update that distills."""
        module = student.get_submodule(self.module)
        total = _norm(student.parameters())
        share = _norm(module.parameters()) / total
        before = share if self._share is None else self._share
        mean = before.lerp(share, 1 - self.momentum)
        # A gradient that overflows in mixed precision is left out.
        self._share = torch.where(share.isfinite(), mean, before)
        self._seen += 1
        if self._seen % self.interval:
            return
        p, wanted = self._share, self.ratio
        change = (wanted * (1 - p) / (p * (1 - wanted))).clamp(*_CHANGE)
        weight = self._weight.to(p.device)
        self._weight = torch.where(change.isfinite(),
                                   (weight * change).clamp(*_WEIGHT), weight)

    def state_dict(self) -> Dict[str, object]:
        """Weight and average as plain numbers, for a checkpoint."""
        share = None if self._share is None else self._share.item()
        return dict(weight=self._weight.item(), share=share, seen=self._seen)

    def load_state_dict(self, state: Dict[str, object]) -> None:
        """Restore what :meth:`state_dict` has given."""
        self._weight = torch.tensor(state['weight'])
        share = state['share']
        self._share = None if share is None else torch.tensor(share)
        self._seen = state['seen']


def _norm(parameters: Iterable[Tensor]) -> Tensor:
    norms = [p.grad.float().norm() for p in parameters if p.grad is not None]
    return torch.stack(norms).norm() if norms else torch.tensor(0.)
