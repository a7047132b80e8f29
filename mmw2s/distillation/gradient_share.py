# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare the gradients of the distillation with the gradient of the task."""
import logging
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

import torch
from mmengine.dist import broadcast
from mmengine.logging import print_log
from torch import Tensor, nn

__all__ = [
    'SCALE', 'DrownedTaskWatch', 'Share', 'gradient_shares', 'is_fsdp',
    'warn_of_drowned_task'
]

# The distillation's gradient is too large above this multiple of the task's.
_DROWNS = 100.
# Above this multiple, one batch is enough to be sure.
_CERTAIN = 10 * _DROWNS
# Otherwise it must be too large in so many batches. A RetinaNet from scratch
# has almost no gradient at first: there the ratio is 50 to 110, depending on
# the batch, and does no harm.
_LOOKS = 3
# Losses are multiplied by it, or small gradients in half precision would be 0.
SCALE = 1024.


class Share(NamedTuple):
    """Size of a distillation loss relative to the task.

    Attributes:
        value (float): Norm of the distillation's gradient divided by the norm
            of the task's.
        by (str): ``'gradient'``. It is ``'loss'`` if gradients cannot be
            computed twice; then ``value`` is the ratio of the losses.
    """
    value: float
    by: str


def gradient_shares(student: nn.Module, task_loss: Tensor,
                    losses: Mapping[str, Tensor]) -> Dict[str, Share]:
    """Compare the gradient of each distillation loss with the task's.

    Only parameters outside the backbone are used: a backward through neck and
    head is cheap. No gradients are accumulated, so DDP does not notice it.
    Graph and random state do not change. The host waits for the device once.
    Of several processes, all are given the shares of the first one's batch.

    Args:
        student (nn.Module): The student, without wrappers.
        task_loss (Tensor): Sum of the student's own losses, shape ().
        losses (dict[str, Tensor]): Name -> weighted distillation loss, shape
            ().

    Returns:
        dict[str, Share]: Name -> share. Losses without a finite share above 0
        are left out.
    """
    parameters = _outside_backbone(student)
    everything = [task_loss, *losses.values()]
    sizes = [loss.detach().abs().float() for loss in everything]
    try:
        norms = [_norm(loss, parameters) for loss in everything]
    except RuntimeError:  # compiled graphs refuse such a backward
        norms = [torch.zeros_like(size) for size in sizes]
    found = torch.stack([*norms, *sizes])
    # What follows from them, another look at the gradients, is for all ranks
    # or none: the backward of SyncBN waits for the others.
    broadcast(found)
    norms, sizes = found.view(2, -1).tolist()
    # With reentrant activation checkpointing, no gradient reaches parameters
    # in this way.
    by, (task, *values) = ('gradient', norms) if norms[0] else ('loss', sizes)
    return {
        key: Share(value / task, by)
        for key, value in zip(losses, values)
        if 0 < task < float('inf') and 0 < value < float('inf')
    }


def is_fsdp(student: nn.Module) -> bool:
    """Whether the model, or a part of it, is wrapped by FSDP."""
    return any(
        'FSDP' in cls.__name__ or cls.__name__ == 'FullyShardedDataParallel'
        for module in student.modules() for cls in type(module).__mro__)


def _outside_backbone(student: nn.Module) -> List[Tensor]:
    if is_fsdp(student):
        return []  # FSDP's hooks would take this backward for the step's
    named = [(name, parameter)
             for name, parameter in student.named_parameters()
             if parameter.requires_grad]
    outside = [p for name, p in named if not name.startswith('backbone.')]
    return outside or [p for _, p in named]


def _norm(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    norms = [loss.new_zeros((), dtype=torch.float)]
    if loss.requires_grad and parameters:
        found = torch.autograd.grad(
            loss * SCALE, parameters, retain_graph=True, allow_unused=True)
        norms += [grad.float().norm() for grad in found if grad is not None]
    return torch.stack(norms).norm()


class DrownedTaskWatch:
    """Warns if the distillation's gradient is much larger than the task's.

    The task's gradient may be small in one batch by chance. So a loss must be
    too large in the first three batches, or by far too large in one. If no
    loss is too large in the first batch, no other batch is checked.

    Attributes:
        is_due (bool): Whether another batch has to be checked.
    """

    def __init__(self) -> None:
        self._least: Optional[Dict[str, Share]] = None
        self._seen, self.is_due = 0, True

    def see(self, shares: Mapping[str, Share],
            weights: Mapping[str, Optional[float]]) -> None:
        """Check the shares of a batch, while :attr:`is_due`.

        Args:
            shares (dict[str, Share]): Name -> share at full strength.
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
    """Warn of losses whose gradient is much larger than the task's.

    Args:
        shares (dict[str, Share]): Name -> share at full strength.
        weights (dict[str, float]): Name -> ``loss_weight``, None if a loss has
            none.
        batches (int): Number of batches; the shares are the minimum over them.
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
