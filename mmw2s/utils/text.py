# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Words in messages."""

__all__ = ['plural']


def plural(count: float, noun: str) -> str:
    """A number with its noun: '1 class', '3 classes', '0 images'.

    Args:
        count (float): How many.
        noun (str): In the singular; of a phrase the last word.
    """
    if count != 1:
        noun += 'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'
    return f'{count} {noun}'
