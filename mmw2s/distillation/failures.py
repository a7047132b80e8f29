# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Turn errors of a model's code into messages for the user."""
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
    """Whether an error is of memory, device or network, not of a model."""
    if isinstance(error, RuntimeError) and 'allocate memory' in str(error):
        return True
    return isinstance(error, _OF_THE_MACHINE)


def is_told(error: Exception) -> bool:
    """Whether mmw2s has raised an error, so that its message is for users."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return isinstance(error, ValueError) and bool(frames) and \
        frames[-1].f_globals.get('__name__', '').startswith('mmw2s.')


@contextmanager
def retold(sentence: Callable[[str], str]) -> Iterator[None]:
    """Replace errors by a message that says what they mean and what to do.

    Unknown modules may raise anything. Errors of the machine and errors that
    mmw2s has raised are not replaced.

    Args:
        sentence (Callable): Takes the class and text of the error in
            parentheses, and returns the message.

    Raises:
        ValueError: With this message.

    Examples:
        >>> with retold(lambda error: f'the teacher failed {error}'):
        >>>     pass  # run the teacher here
    """
    try:
        yield
    except Exception as error:
        if is_of_the_machine(error) or is_told(error):
            raise
        raise ValueError(sentence(f'({type(error).__name__}: {error})')) \
            from error
