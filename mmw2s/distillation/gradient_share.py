# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How strongly a distillation pulls beside the task, by their gradients."""
import logging
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

__all__ = [
    'DrownedTaskWatch', 'Share', 'gradient_shares', 'warn_of_drowned_task'
]

# A gradient of the distillation this many times the task's is told.
_DROWNS = 100.
# From here on no chance explains it.
_CERTAIN = 10 * _DROWNS
# Of RetinaNet from scratch, whose own gradient is nearly 0 at first, it is 50
# to 110 times by the batch, and does no harm.
_LOOKS = 3
# Small gradients of half-precision tensors would become 0.
_SCALE = 1024.


class Share(NamedTuple):
    """The distillation's part beside the task's.

    Attributes:
        value (float): Norm of the distillation's gradient over the task's.
        by (str): ``'gradient'``, or ``'loss'`` where gradients cannot be had
            twice: then of the two losses.
    """
    value: float
    by: str


def gradient_shares(student: nn.Module, task_loss: Tensor,
                    losses: Mapping[str, Tensor]) -> Dict[str, Share]:
    """The share of each distillation loss at the student's parameters.

    Of those outside its backbone: neck and head are where the two meet, and
    a backward as far as there is cheap. It accumulates no gradient, which
    is what DDP listens to, and leaves the graph and the random numbers as
    they were. The host waits for the device once.

    Args:
        student (nn.Module): The inner model.
        task_loss (Tensor): The sum of the student's own losses, 0-dim.
        losses (dict[str, Tensor]): The distillation losses, weighted, 0-dim.

    Returns:
        dict[str, Share]: Without those where either has no gradient.
    """
    parameters = _outside_backbone(student)
    everything = [task_loss, *losses.values()]
    sizes = [loss.detach().abs().float() for loss in everything]
    try:
        norms = [_norm(loss, parameters) for loss in everything]
    except RuntimeError:  # compiled graphs refuse such a backward
        norms = [torch.zeros_like(size) for size in sizes]
    norms, sizes = torch.stack([*norms, *sizes]).view(2, -1).tolist()
    # Reentrant checkpoints hide their parameters.
    by, (task, *values) = ('gradient', norms) if norms[0] else ('loss', sizes)
    return {
        key: Share(value / task, by)
        for key, value in zip(losses, values)
        if 0 < task < float('inf') and 0 < value < float('inf')
    }


def _outside_backbone(student: nn.Module) -> List[Tensor]:
    if any('FSDP' in cls.__name__ or cls.__name__ == 'FullyShardedDataParallel'
           for module in student.modules() for cls in type(module).__mro__):
        return []  # their hooks take any backward for that of the step
    named = [(name, parameter)
             for name, parameter in student.named_parameters()
             if parameter.requires_grad]
    outside = [p for name, p in named if not name.startswith('backbone.')]
    return outside or [p for _, p in named]


def _norm(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    norms = [loss.new_zeros((), dtype=torch.float)]
    if loss.requires_grad and parameters:
        found = torch.autograd.grad(
            loss * _SCALE, parameters, retain_graph=True, allow_unused=True)
        norms += [grad.float().norm() for grad in found if grad is not None]
    return torch.stack(norms).norm()


class DrownedTaskWatch:
    """Looks at the first batches for a distillation that drowns the task.

    Of a single one the task's gradient may be small by chance. What is
    suspect is told where it is so in three batches in a row, or too much by
    far; without a suspect, the first batch is the only one.
    """

    def __init__(self) -> None:
        self._least: Optional[Dict[str, Share]] = None
        self._seen, self.is_due = 0, True

    def see(self, shares: Mapping[str, Share],
            weights: Mapping[str, Optional[float]]) -> None:
        """Take in a batch's shares, while :attr:`is_due`.

        Args:
            shares (dict[str, Share]): At full strength.
            weights (dict[str, float]): See :func:`warn_of_drowned_task`.
        """
        before = shares if self._least is None else self._least
        self._least = {
            key: min(before[key], share)
            for key, share in shares.items()
            if key in before and share.value > _DROWNS
        }
        self._seen += 1
        certain = any(share.value > _CERTAIN for share in self._least.values())
        self.is_due = bool(self._least) and not certain and self._seen < _LOOKS
        if not self.is_due:
            warn_of_drowned_task(self._least, weights, self._seen)


def warn_of_drowned_task(shares: Mapping[str, Share],
                         weights: Mapping[str, Optional[float]],
                         batches: int = 1) -> None:
    """Say in the log which distillation drowns the task.

    Args:
        shares (dict[str, Share]): At full strength.
        weights (dict[str, float]): ``loss_weight`` of each loss, where it has
            one.
        batches (int): How many batches these are the least of.
    """
    when = 'on the first batch' if batches == 1 else \
        f'in each of the first {batches} batches'
    for key, (share, by) in shares.items():
        if share <= _DROWNS:
            continue
        weight = weights.get(key)
        advice = 'Give its loss a smaller loss_weight'
        if isinstance(weight, (int, float)):
            advice = (f'loss_weight={weight / share:.2g} instead of '
                      f'{weight:g} would bring the two to about the same')
        print_log(
            f'The {by} of {key} is {share:.0f} times that of the task at '
            f'full strength, measured {when}: the task is likely to be '
            f'drowned. {advice}',
            logger='current',
            level=logging.WARNING)
