# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the rules of several families share."""
from typing import Any, Callable, List, Optional

import torch
from torch import nn

from ..layers import tensors_of
from .rules import CannotGrow, State

__all__ = ['part', 'refuse_other_settings', 'spread_blocks', 'zeros']


def part(name: str, grow: Callable[..., State], *args: Any) -> State:
    """Grow a part of a module.

    Args:
        name (str): Name of the part in the module.
        grow (Callable): Gives the part's tensors by their names in the part.
        *args: What it is called with.

    Returns:
        dict[str, Tensor]: These tensors by their names in the module.

    Raises:
        CannotGrow: Names the part.
    """
    try:
        grown = grow(*args)
    except CannotGrow as error:
        raise error.inside(name) from error
    return {f'{name}.{key}': tensor for key, tensor in grown.items()}


def zeros(layer: nn.Module) -> State:
    """Zeros for a layer, with which it gives 0 whatever it is given."""
    return {
        name: torch.zeros_like(tensor)
        for name, tensor in tensors_of(layer).items()
    }


def spread_blocks(student: int, teacher: int) -> List[Optional[int]]:
    """The teacher's block for each of the student's; None for a new one.

    New blocks are spread evenly, each behind one of the teacher's.

    Raises:
        CannotGrow: If the student has fewer.

    Examples:
        >>> spread_blocks(5, 3)
        [0, None, 1, None, 2]
    """
    if student < teacher:
        raise CannotGrow(f'the student has {student} blocks, the teacher '
                         f'{teacher}: a student grows, it does not shrink')
    origins = [i * teacher // student for i in range(student)]
    return [
        None if i and origins[i - 1] == origin else origin
        for i, origin in enumerate(origins)
    ]


def refuse_other_settings(student: nn.Module, teacher: nn.Module,
                          free: set) -> None:
    """Compare the ``config`` of two models of diffusers.

    Args:
        student (nn.Module): The student's.
        teacher (nn.Module): The teacher's.
        free (set[str]): Fields that may differ.

    Raises:
        CannotGrow: If another field does.
    """
    own, given = student.config, teacher.config
    for key in sorted({*own, *given} - free):
        if key[0] != '_' and own.get(key) != given.get(key):
            raise CannotGrow(f'its {key} is {own.get(key)}, the teacher\'s '
                             f'{given.get(key)}: make it the same')
