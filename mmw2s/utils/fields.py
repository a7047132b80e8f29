# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Checks of the values in a config.

A wrong value should end a run before data sets and models are built. Plain
comparisons are not enough: ``nan < 0`` is False, ``True`` counts as 1, and a
text fails with ``'<' not supported``.
"""
import math
from numbers import Integral, Real
from typing import Any, Iterable, Optional

__all__ = [
    'check_choice', 'check_flag', 'check_integer', 'check_number',
    'check_seed', 'check_text'
]


def check_number(name: str,
                 value: Any,
                 *,
                 at_least: Optional[float] = None,
                 above: Optional[float] = None,
                 at_most: Optional[float] = None,
                 below: Optional[float] = None) -> None:
    """Refuse a value that is no finite real number within the bounds.

    Args:
        name (str): The owner and its field ("SurpassTeacher.margin").
        value (Any): The value.
        at_least (float, optional): Smallest value allowed.
        above (float, optional): Value that it must exceed.
        at_most (float, optional): Largest value allowed.
        below (float, optional): Value that it must stay below.

    Raises:
        ValueError: If it is no number (bools and texts are none), NaN,
            infinite or out of bounds.

    Examples:
        >>> check_number('SurpassTeacher.margin', 0.1, at_least=0)
    """
    _check('a finite number', Real, name, value, at_least, above, at_most,
           below)


def check_integer(name: str,
                  value: Any,
                  *,
                  at_least: Optional[int] = None,
                  at_most: Optional[int] = None) -> None:
    """Refuse a value that is no integer within the bounds.

    Raises:
        ValueError: As :func:`check_number`, and for floats such as 2.0.
    """
    _check('an integer', Integral, name, value, at_least, None, at_most, None)


def check_seed(name: str, value: Any) -> None:
    """Refuse a value that is no seed for PyTorch and NumPy.

    Raises:
        ValueError: If it is no integer from 0 to 2**32 - 1.
    """
    check_integer(name, value, at_least=0, at_most=2**32 - 1)


def check_text(name: str, value: Any, what: str = 'a text') -> None:
    """Refuse a value that is no text, or an empty one.

    Args:
        name (str): The owner and its field.
        value (Any): The value.
        what (str): What the text should be, for the message.

    Raises:
        ValueError: If it is no text, or has only white space.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'{name} should be {what}, but got {value!r}')


def check_flag(name: str, value: Any) -> None:
    """Refuse a value that is neither True nor False.

    A command line may give ``'no'`` or ``'False'``, which Python takes for
    true.

    Raises:
        ValueError: If it is anything else, such as 0 or 1.
    """
    if not isinstance(value, bool):
        raise ValueError(f'{name} should be True or False, but got {value!r}')


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Refuse a value that is not one of the choices.

    Raises:
        ValueError: If it is none of them. The message lists the choices.
    """
    choices = list(choices)
    if not any(
            value is c or (type(value) is type(c) and value == c)
            for c in choices):
        raise ValueError(f'{name} should be one of '
                         f'{", ".join(map(repr, choices))}, but got {value!r}')


def _check(kind: str, abstract: type, name: str, value: Any,
           at_least: Optional[float], above: Optional[float],
           at_most: Optional[float], below: Optional[float]) -> None:
    bounds = [(sign, bound) for sign, bound in (('>=', at_least), ('>', above),
                                                ('<=', at_most), ('<', below))
              if bound is not None]
    if not isinstance(value, abstract) or isinstance(value, bool) or \
            (abstract is Real and not _is_finite(value)) or \
            at_least is not None and value < at_least or \
            above is not None and value <= above or \
            at_most is not None and value > at_most or \
            below is not None and value >= below:
        limits = ' and '.join(f'{sign} {bound:g}' for sign, bound in bounds)
        raise ValueError(f'{name} should be {kind}' +
                         (f' {limits}' if limits else '') +
                         f', but got {value!r}')


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer such as 10**400
        return False
