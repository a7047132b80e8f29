# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Checks of what a user writes into the fields of a config.

A wrong value should end a run before data sets and models are built. Plain
comparisons are not enough: NaN passes ``value < 0``, ``True`` counts as 1, and
a text fails with ``'<' not supported``.
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
    """Refuse what is not a finite real number within the bounds.

    Args:
        name (str): The owner and its field ("SurpassTeacher.margin").
        value (Any): What was given.
        at_least (float, optional): Smallest value allowed.
        above (float, optional): Value that it must exceed.
        at_most (float, optional): Largest value allowed.
        below (float, optional): Value that it must stay below.

    Raises:
        ValueError: If it is of another type (a bool and a text are), NaN,
            infinite or out of bounds.
    """
    _check('a finite number', Real, name, value, at_least, above, at_most,
           below)


def check_integer(name: str,
                  value: Any,
                  *,
                  at_least: Optional[int] = None,
                  at_most: Optional[int] = None) -> None:
    """Refuse what is not a whole number within the bounds.

    Raises:
        ValueError: See :func:`check_number`; 2.0 is refused too.
    """
    _check('an integer', Integral, name, value, at_least, None, at_most, None)


def check_seed(name: str, value: Any) -> None:
    """Refuse what PyTorch's and NumPy's generators do not take as a seed.

    Raises:
        ValueError: See :func:`check_integer`.
    """
    check_integer(name, value, at_least=0, at_most=2**32 - 1)


def check_text(name: str, value: Any, what: str = 'a text') -> None:
    """Refuse what is not a text, or an empty one.

    Args:
        name (str): The owner and its field.
        value (Any): What was given.
        what (str): What the text is, for the message.

    Raises:
        ValueError: If it is no such text.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'{name} should be {what}, but got {value!r}')


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False.

    ``'no'`` and ``'False'``, as a command line may give them, would count as
    true.

    Raises:
        ValueError: For anything else, 0 and 1 included.
    """
    if not isinstance(value, bool):
        raise ValueError(f'{name} should be True or False, but got {value!r}')


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Refuse what is not one of the choices.

    Raises:
        ValueError: With the choices.
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
    except OverflowError:  # 10**400 has no float
        return False
