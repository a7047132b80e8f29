# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any

__all__ = ['is_kind']


def is_kind(module: Any, *names: str) -> bool:
    """Whether the class of an object, or one of its bases, has such a name.

    Classes are compared by name, so their package need not be installed.

    Examples:
        >>> is_kind(torch.nn.Conv2d(3, 8, 1), '_ConvNd')
        True
    """
    return any(cls.__name__ in names for cls in type(module).__mro__)
