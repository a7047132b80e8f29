# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Words in messages."""
from typing import Sequence

__all__ = ['listed', 'plural']


def listed(items: Sequence[str], most: int) -> str:
    """A list that is cut if it is long, such as 'a, b and 7 more'.

    Args:
        items (Sequence[str]): The items.
        most (int): Number of items that are shown at most.
    """
    rest = len(items) - most
    return ', '.join(items[:most]) + (f' and {rest} more' if rest > 0 else '')


def plural(count: float, noun: str) -> str:
    """A number with a noun, such as '1 class', '3 classes' or '0 images'.

    Args:
        count (float): The number.
        noun (str): The noun in the singular, or a phrase that ends with it.
    """
    if count != 1:
        noun += 'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'
    return f'{count} {noun}'
