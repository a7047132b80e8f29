# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whether what stands in a record can have been written by a run."""
import math
from numbers import Integral, Real
from typing import Any, Callable, Dict, Iterable, NamedTuple, Optional

__all__ = [
    'COUNT', 'FLAG', 'LOSS', 'MAYBE_COUNT', 'MAYBE_NUMBER', 'MAYBE_TEXT',
    'METRICS', 'NUMBER', 'SECONDS', 'TEXT', 'Kind', 'misfit', 'shown'
]

# What a float32, as which metrics are computed, can hold, and 300 years.
_LARGEST, _LONGEST = 3.4028235e38, 1e10


class Kind(NamedTuple):
    """What a field may hold: in words, and as a check."""
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
# An overflow under mixed precision is written as it is.
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
    """What is wrong with the fields of a row, None if nothing is.

    Fields that are not known are passed over: a later version may write more.

    Args:
        row (dict): The row.
        kinds (dict[str, Kind]): The fields that it should have.
        optional (Iterable[str]): Those that it may lack.
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
    """A value for a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = f'a huge {type(value).__name__}'
    return text if len(text) <= longest else f'{text[:longest]}...'
