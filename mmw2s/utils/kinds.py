# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any

__all__ = ['is_kind']


def is_kind(module: Any, *names: str) -> bool:
    """Whether an object is of one of these classes, or descends from one.

    By name, so that the package that has the class need not be installed.
    """
    return any(cls.__name__ in names for cls in type(module).__mro__)
