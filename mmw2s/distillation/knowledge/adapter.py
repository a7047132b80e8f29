# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Callable, Dict, List, NamedTuple, Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce_params
from torch import Tensor, nn

from .base import Pair

__all__ = ['ChannelAdapters', 'random_projection']

_LR = 1e-3


def random_projection(seed: int, channels: int, out_channels: int) -> Tensor:
    """A matrix with entries from N(0, 1 / channels).

    Args:
        seed (int): The matrix depends on nothing but this and its shape.
        channels (int): Number of channels before the projection.
        out_channels (int): Number of channels after it.

    Returns:
        Tensor: The weight of a 1x1 convolution, of shape
        (out_channels, channels, 1, 1).
    """
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(out_channels, channels, 1, 1, generator=generator)
    return matrix / channels**0.5


class _Adapter(NamedTuple):
    weight: nn.Parameter
    optimizer: torch.optim.Optimizer


class ChannelAdapters:
    """1x1 convolutions from the student's channels to the teacher's.

    Each level has one, made when it is first needed. It learns from the
    distillation loss, with an optimizer of its own: Adam with a learning rate
    of 0.001, whose steps do not depend on the loss's scale. Its gradients are
    averaged over ranks.

    In each batch the adapter takes its step first, on the student's maps
    without their graph. Then it is a constant in the student's loss. So no
    adapter is in the student's parameters, optimizer, DDP buckets or
    ``state_dict``, and gradient accumulation, clipping and loss scaling do
    not touch it.

    Args:
        seed (int): Seed of the random projections that the adapters begin
            with.

    Examples:
        >>> adapters = ChannelAdapters(seed=0)
        >>> weight = adapters.weight(0, student_maps, teacher_channels)
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._adapters: Dict[int, _Adapter] = {}
        self._saved: Dict[int, dict] = {}

    def weight(self, level: int, maps: Tensor, channels: int) -> Tensor:
        """The weight of a level's adapter, shape (channels, C, 1, 1).

        Args:
            level (int): Index of the level.
            maps (Tensor): The student's maps, shape (B, C, H, W).
            channels (int): Number of the teacher's channels.
        """
        if level not in self._adapters:
            weight = nn.Parameter(
                random_projection(self._seed + level, maps.shape[1],
                                  channels).to(maps.device))
            made = _Adapter(weight, torch.optim.Adam([weight], lr=_LR))
            if level in self._saved:
                saved = self._saved.pop(level)
                weight.data.copy_(saved['weight'])
                made.optimizer.load_state_dict(saved['optimizer'])
            self._adapters[level] = made
        return self._adapters[level].weight

    def fit(self, pairs: Sequence[Pair],
            compare: Callable[[Sequence[Pair]], List[Tensor]]) -> List[Pair]:
        """Train the adapters by one step, then apply them.

        Args:
            pairs (Sequence[Pair]): All pairs of a batch.
            compare (Callable): Takes pairs and gives their losses, 0-dim.

        Returns:
            list[Pair]: The pairs, with the student's maps adapted.
        """
        adapted = [pair for pair in pairs if pair.adapter is not None]
        if adapted:
            parts = compare([
                _through(pair.adapter, pair, pair.student.detach())
                for pair in adapted
            ])
            self._step(sum(parts))
        return [
            pair if pair.adapter is None else _through(
                pair.adapter.detach(), pair, pair.student) for pair in pairs
        ]

    def _step(self, loss: Tensor) -> None:
        weights = [adapter.weight for adapter in self._adapters.values()]
        grads = torch.autograd.grad(loss, weights, materialize_grads=True)
        all_reduce_params(grads, op='mean')
        for (weight, optimizer), grad in zip(self._adapters.values(), grads):
            # Nothing is learned from gradients that overflow in 16 bits.
            weight.grad = grad.nan_to_num(0., 0., 0.)
            optimizer.step()
            optimizer.zero_grad()

    def state_dict(self) -> Dict[str, dict]:
        """Weights and their optimizers' states, for a checkpoint."""
        made = {
            level:
            dict(weight=weight.detach(), optimizer=optimizer.state_dict())
            for level, (weight, optimizer) in self._adapters.items()
        }
        return dict(adapters={**self._saved, **made})

    def load_state_dict(self, state: Dict[str, dict]) -> None:
        """Restore a state. Call it before the first batch."""
        self._saved = dict(state['adapters'])


def _through(weight: Tensor, pair: Pair, maps: Tensor) -> Pair:
    # In float32 like the losses: these gradients are not scaled, and autocast
    # would go on using a cached copy of the weight from before its step.
    with torch.autocast(maps.device.type, enabled=False):
        return pair._replace(student=F.conv2d(maps.float(), weight))
