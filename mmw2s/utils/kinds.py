# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any

__all__ = ['bare_name', 'is_kind']


def bare_name(kind: Any) -> str:
    """The name of a class as a config has it, without scope and modules.

    Examples:
        >>> bare_name('mmdet.ResNet'), bare_name(ResNet)
        ('ResNet', 'ResNet')
    """
    return getattr(kind, '__name__', None) or str(kind).rsplit('.', 1)[-1]


def is_kind(module: Any, *names: str) -> bool:
    """Whether the class of an object, or one of its bases, has such a name.

    Classes are compared by name, so their package need not be installed.

    Examples:
        >>> is_kind(torch.nn.Conv2d(3, 8, 1), '_ConvNd')
        True
    """
    return any(cls.__name__ in names for cls in type(module).__mro__)
