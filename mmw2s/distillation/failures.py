# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Telling apart what can go wrong while a model of any kind is run."""
import traceback
from contextlib import contextmanager
from typing import Callable, Iterator

import torch

__all__ = ['is_of_the_machine', 'is_told', 'retold']

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


@contextmanager
def retold(sentence: Callable[[str], str]) -> Iterator[None]:
    """Say of what fails within what it means, and what to do.

    Modules of kinds that are not known may fail in any way. Errors of the
    machine, and those that are told already, stay as they are.

    Args:
        sentence (Callable): Given kind and text of the error, in brackets,
            returns the message.

    Raises:
        ValueError: With that message.
    """
    try:
        yield
    except Exception as error:
        if is_of_the_machine(error) or is_told(error):
            raise
        raise ValueError(sentence(f'({type(error).__name__}: {error})')) \
            from error
