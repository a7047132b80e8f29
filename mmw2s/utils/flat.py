# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Nested values: by dotted names, what differs between two, their dicts."""
from typing import Any, Dict, Iterator, List, Sequence, Tuple

__all__ = ['dicts_in', 'differences', 'flat']


def flat(name: str, value: Any) -> Dict[str, str]:
    """Dotted names of all that a value holds -> how Python writes it.

    Args:
        name (str): Name of the value.
        value (Any): Dicts, lists and tuples are taken apart.

    Examples:
        >>> flat('a', dict(b=[1, 'c']))
        {'a.b.0': '1', 'a.b.1': "'c'"}
    """
    if isinstance(value, (dict, list, tuple)) and value:
        items: Sequence[Tuple[Any, Any]] = list(
            value.items() if isinstance(value, dict) else enumerate(value))
        return {
            key: text
            for part, inner in items
            for key, text in flat(f'{name}.{part}', inner).items()
        }
    return {name: repr(value)}


def differences(before: Dict[str, str], now: Dict[str, str]) -> List[str]:
    """What differs between two results of :func:`flat`, in words."""
    return [
        f'{name} was {before.get(name, "not there")}, now '
        f'{now.get(name, "not there")}' for name in {
            **before,
            **now
        } if before.get(name) != now.get(name)
    ]


def dicts_in(value: Any) -> Iterator[dict]:
    """All dicts in a value, itself included, outer ones before inner ones.

    Args:
        value (Any): Dicts, lists and tuples are looked into.

    Examples:
        >>> list(dicts_in([dict(a=1), (dict(b=2), 3)]))
        [{'a': 1}, {'b': 2}]
    """
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from dicts_in(inner)
