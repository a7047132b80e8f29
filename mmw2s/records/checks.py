# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Checks of a record: could a run have written this?"""
import math
from numbers import Integral, Real
from typing import Any, Callable, Dict, Iterable, NamedTuple, Optional

__all__ = [
    'COUNT', 'FLAG', 'LOSS', 'MAYBE_COUNT', 'MAYBE_NUMBER', 'MAYBE_TEXT',
    'METRICS', 'NUMBER', 'SECONDS', 'TEXT', 'Kind', 'misfit', 'shown'
]

# The largest float32, the dtype of metrics; and 300 years in seconds.
_LARGEST, _LONGEST = 3.4028235e38, 1e10


class Kind(NamedTuple):
    """The kind of value of a field: in words, and as a check."""
    words: str
    fits: Callable[[Any], bool]


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _real(value) and abs(value) <= _LARGEST


def _count(value: Any) -> bool:
    return isinstance(value, Integral) and _number(value) and value >= 0


def _or_null(kind: Kind) -> Kind:
    return Kind(f'{kind.words} or null',
                lambda value: value is None or kind.fits(value))


COUNT = Kind('a whole number >= 0', _count)
FLAG = Kind('true or false', lambda value: isinstance(value, bool))
NUMBER = Kind('a finite number', _number)
SECONDS = Kind('a number of seconds',
               lambda value: _real(value) and 0 <= value < _LONGEST)
# A loss may overflow in mixed precision, so it need not be finite.
LOSS = Kind(
    'a number',
    lambda value: _number(value) or _real(value) and not math.isfinite(value))
TEXT = Kind('a text', lambda value: isinstance(value, str))
MAYBE_COUNT, MAYBE_NUMBER, MAYBE_TEXT = map(_or_null, (COUNT, NUMBER, TEXT))
METRICS = Kind(
    'a dict of finite numbers by metric', lambda value: isinstance(
        value, dict) and all(map(MAYBE_NUMBER.fits, value.values())))


def misfit(
    row: Dict[str, Any], kinds: Dict[str, Kind],
    optional: Iterable[str] = ()) -> Optional[str]:
    """The first problem in the fields of a row, None if there is none.

    Unknown fields are ignored: a later version may write more fields.

    Args:
        row (dict): The row.
        kinds (dict[str, Kind]): Name of a field -> kind of its value.
        optional (Iterable[str]): Names of fields that may be missing.
    """
    for name, kind in kinds.items():
        if name not in row:
            if name not in optional:
                return f'it has no {name!r}'
        elif not kind.fits(row[name]):
            return f'its {name} should be {kind.words}, but is ' \
                f'{shown(row[name])}'
    return None


def shown(value: Any, longest: int = 40) -> str:
    """A value for a message, cut if it is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        text = f'a huge {type(value).__name__}'
    return text if len(text) <= longest else f'{text[:longest]}...'
