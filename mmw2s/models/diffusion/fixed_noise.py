# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Noise and timesteps that follow from an image's number alone."""
from typing import List, Sequence

import torch
from torch import Tensor

__all__ = ['draw_noise', 'fixed_noise', 'fixed_timesteps', 'generators']

# Multiples of the golden ratio fill an interval evenly, however many.
_GOLDEN_RATIO = 0.6180339887498949


def generators(seeds: Sequence[int]) -> List[torch.Generator]:
    """A generator for each seed, on the CPU: the same on all devices."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def draw_noise(sources: Sequence[torch.Generator],
               shape: Sequence[int]) -> Tensor:
    """Standard normal noise, the next of each generator, shape
    (len(sources), *shape)."""
    return torch.stack([torch.randn(shape, generator=g) for g in sources])


def fixed_noise(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Standard normal noise, shape (len(seeds), *shape).

    That of a seed is the same in whatever batch and on whatever rank.
    """
    return draw_noise(generators(seeds), shape)


def fixed_timesteps(numbers: Sequence[int], num_timesteps: int) -> Tensor:
    """Timesteps spread evenly over the whole range, shape (len(numbers), )."""
    shares = torch.tensor([(int(i) + 0.5) * _GOLDEN_RATIO % 1
                           for i in numbers])
    return (shares * num_timesteps).long()
