# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Words in messages."""
from typing import Sequence

__all__ = ['listed', 'plural']


def listed(items: Sequence[str], most: int) -> str:
    """The first items of a list that may be long: 'a, b and 7 more'.

    Args:
        items (Sequence[str]): The items.
        most (int): How many are named.
    """
    rest = len(items) - most
    return ', '.join(items[:most]) + (f' and {rest} more' if rest > 0 else '')


def plural(count: float, noun: str) -> str:
    """A number with its noun: '1 class', '3 classes', '0 images'.

    Args:
        count (float): How many.
        noun (str): In the singular; of a phrase the last word.
    """
    if count != 1:
        noun += 'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'
    return f'{count} {noun}'
