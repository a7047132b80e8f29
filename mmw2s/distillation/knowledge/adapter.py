# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from dataclasses import dataclass
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce_params
from torch import Tensor, nn

from .base import Pair

__all__ = ['KERNELS', 'Adapter', 'ChannelAdapters', 'random_projection']

#: Kind of a trained adapter -> the sizes of its convolutions.
KERNELS = dict(trained=(1, ), conv3x3=(3, ), mlp=(1, 1, 1), masked=(3, 3))
_LR = 1e-3
# As MGD has it for one-stage detectors.
_MASKED = 0.65


def random_projection(seed: int,
                      channels: int,
                      out_channels: int,
                      kernel: int = 1) -> Tensor:
    """A convolution with entries from N(0, 1 / (channels * kernel ** 2)).

    Args:
        seed (int): It depends on nothing but this and its shape.
        channels (int): Number of channels before the projection.
        out_channels (int): Number of channels after it.
        kernel (int): Its height and width. Defaults to 1.

    Returns:
        Tensor: The weight of a convolution, of shape
        (out_channels, channels, kernel, kernel).
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(
        out_channels, channels, kernel, kernel, generator=generator)
    return weight / (channels * kernel**2)**0.5


class Adapter(NamedTuple):
    """What brings the student's maps to the teacher's.

    Attributes:
        weights (tuple[Tensor]): Convolutions, with a ReLU between two.
        mask (Tensor, optional): The maps are multiplied by it before,
            shape (B, 1, H, W).
    """
    weights: Tuple[Tensor, ...]
    mask: Optional[Tensor] = None

    def detach(self) -> 'Adapter':
        """The same as a constant."""
        return self._replace(weights=tuple(w.detach() for w in self.weights))

    def __call__(self, maps: Tensor) -> Tensor:
        maps = maps.float()
        if self.mask is not None:
            maps = maps * self.mask
        for i, weight in enumerate(self.weights):
            maps = F.conv2d(
                maps if i == 0 else maps.relu(),
                weight,
                padding=weight.shape[-1] // 2)
        return maps


@dataclass
class _Level:
    """The adapter of a level, with its optimizer and the masks so far."""
    weights: Tuple[nn.Parameter, ...]
    optimizer: torch.optim.Optimizer
    drawn: int = 0


class ChannelAdapters:
    """Small convolutions from the student's channels to the teacher's.

    Each level has an adapter, made when it is first needed. It learns from
    the distillation loss, with an optimizer of its own: Adam with a learning
    rate of 0.001, whose steps do not depend on the loss's scale. Its
    gradients are averaged over ranks.

    In each batch the adapter takes its step first, on the student's maps
    without their graph. Then it is a constant in the student's loss. So no
    adapter is in the student's parameters, optimizer, DDP buckets or
    ``state_dict``, and gradient accumulation, clipping and loss scaling do
    not touch it.

    Args:
        seed (int): Seed of the random projections that the adapters begin
            with, and of masks.
        kind (str): ``'trained'``: a 1x1 convolution; ``'conv3x3'``: a 3x3
            one; ``'mlp'``: three of 1x1; ``'masked'``: two of 3x3, on maps of
            which a random 65 % of the locations are set to 0, new ones in
            each batch. Defaults to ``'trained'``.

    Examples:
        >>> adapters = ChannelAdapters(seed=0)
        >>> adapter = adapters.adapter(0, student_maps, teacher_channels)
    """

    def __init__(self, seed: int, kind: str = 'trained') -> None:
        self._seed = seed
        self._kernels = KERNELS[kind]
        self._masks = kind == 'masked'
        self._adapters: Dict[int, _Level] = {}
        self._saved: Dict[int, dict] = {}

    def adapter(self, level: int, maps: Tensor, channels: int) -> Adapter:
        """The adapter of a level, for one call.

        Args:
            level (int): Index of the level.
            maps (Tensor): The student's maps, shape (B, C, H, W).
            channels (int): Number of the teacher's channels.
        """
        if level not in self._adapters:
            self._adapters[level] = self._made(level, maps, channels)
        made, mask = self._adapters[level], None
        if self._masks:
            # A generator of its own, on the device, so that nothing waits. The
            # student's random numbers stay, and a resumed run goes on with the
            # masks of the unbroken one.
            generator = torch.Generator(maps.device).manual_seed(
                (self._seed + 10**6 * level + 10**8 * made.drawn) % 2**32)
            mask = torch.rand(
                len(maps),
                1,
                *maps.shape[2:],
                generator=generator,
                device=maps.device) >= _MASKED
            made.drawn += 1
        return Adapter(made.weights, mask)

    def _made(self, level: int, maps: Tensor, channels: int) -> _Level:
        weights, before = [], maps.shape[1]
        for i, kernel in enumerate(self._kernels):
            # Far apart, so that no level begins with a layer of another.
            seed = self._seed + level + 1000 * i
            weights.append(
                nn.Parameter(
                    random_projection(seed, before, channels,
                                      kernel).to(maps.device)))
            before = channels
        made = _Level(tuple(weights), torch.optim.Adam(weights, lr=_LR))
        if level in self._saved:
            saved = self._saved.pop(level)
            # mmw2s 0.1.0 has a single one.
            for weight, value in zip(weights,
                                     saved.get('weights')
                                     or [saved['weight']]):
                weight.data.copy_(value)
            made.optimizer.load_state_dict(saved['optimizer'])
            made.drawn = saved.get('drawn', 0)
        return made

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
        weights = [
            weight for level in self._adapters.values()
            for weight in level.weights
        ]
        grads = torch.autograd.grad(loss, weights, materialize_grads=True)
        all_reduce_params(grads, op='mean')
        for weight, grad in zip(weights, grads):
            # Nothing is learned from gradients that overflow in 16 bits.
            weight.grad = grad.nan_to_num(0., 0., 0.)
        for level in self._adapters.values():
            level.optimizer.step()
            level.optimizer.zero_grad()

    def state_dict(self) -> Dict[str, dict]:
        """Weights and their optimizers' states, for a checkpoint."""
        made = {
            level:
            dict(
                weights=[weight.detach() for weight in one.weights],
                optimizer=one.optimizer.state_dict(),
                drawn=one.drawn)
            for level, one in self._adapters.items()
        }
        return dict(adapters={**self._saved, **made})

    def load_state_dict(self, state: Dict[str, dict]) -> None:
        """Restore a state. Call it before the first batch."""
        self._saved = dict(state['adapters'])


def _through(adapter: Adapter, pair: Pair, maps: Tensor) -> Pair:
    # In float32 like the losses: these gradients are not scaled, and autocast
    # would go on using a cached copy of the weight from before its step.
    with torch.autocast(maps.device.type, enabled=False):
        return pair._replace(student=adapter(maps))
