# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Telling apart what can go wrong while a model of any kind is run."""
import traceback

import torch

__all__ = ['is_of_the_machine', 'is_told']

_OF_THE_MACHINE = (MemoryError, torch.OutOfMemoryError) + tuple(
    kind for kind in (getattr(torch, 'AcceleratorError', None),
                      getattr(torch.distributed, 'DistError', None))
    if kind is not None)


def is_of_the_machine(error: Exception) -> bool:
    """Whether it tells of memory, device or network, not of the models."""
    if isinstance(error, RuntimeError) and 'allocate memory' in str(error):
        return True
    return isinstance(error, _OF_THE_MACHINE)


def is_told(error: Exception) -> bool:
    """Whether mmw2s has raised it, with a sentence of its own."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return isinstance(error, ValueError) and bool(frames) and \
        frames[-1].f_globals.get('__name__', '').startswith('mmw2s.')
