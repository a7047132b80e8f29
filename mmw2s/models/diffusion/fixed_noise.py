# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Noise and timesteps that depend on nothing but an image's seed or index."""
from typing import List, Sequence

import torch
from torch import Tensor

__all__ = ['draw_noise', 'fixed_noise', 'fixed_timesteps', 'generators']

# The fractional parts of its multiples are spread evenly over [0, 1), however
# many of them are taken.
_GOLDEN_RATIO = 0.6180339887498949


def generators(seeds: Sequence[int]) -> List[torch.Generator]:
    """A generator for each seed, on the CPU: same numbers on all devices."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def draw_noise(sources: Sequence[torch.Generator],
               shape: Sequence[int]) -> Tensor:
    """The next standard normal noise of each generator.

    Args:
        sources (Sequence[torch.Generator]): One generator an image.
        shape (Sequence[int]): Shape of an image.

    Returns:
        Tensor: Shape (len(sources), *shape), on the CPU.
    """
    return torch.stack([torch.randn(shape, generator=g) for g in sources])


def fixed_noise(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Standard normal noise of each seed, shape (len(seeds), *shape).

    A seed's noise depends neither on the other seeds nor on the rank.
    """
    return draw_noise(generators(seeds), shape)


def fixed_timesteps(numbers: Sequence[int], num_timesteps: int) -> Tensor:
    """A timestep for each number, spread evenly, shape (len(numbers), )."""
    shares = torch.tensor([(int(i) + 0.5) * _GOLDEN_RATIO % 1
                           for i in numbers])
    return (shares * num_timesteps).long()
