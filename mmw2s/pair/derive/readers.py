# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What reads a backbone, necks and heads, and how it becomes narrower."""
from typing import Any, Dict, Iterator, Sequence, Tuple

from mmw2s.utils.flat import dicts_in

__all__ = ['narrow', 'readers', 'refit']

# Parts of a model that read no backbone.
_OTHERS = ('backbone', 'data_preprocessor')


def readers(model: dict) -> Dict[str, dict]:
    """The dicts in a model's config with ``in_channels`` of the backbone.

    Args:
        model (dict): The config of a model: its neck reads the backbone, and
            where there is none, its heads do.

    Returns:
        dict[str, dict]: The name of each in the model -> the dict itself.
    """
    parts = model.get('neck')
    necks = enumerate(parts) if isinstance(parts,
                                           (list, tuple)) else [(None, parts)]
    for place, part in necks:
        name = 'neck' if place is None else f'neck.{place}'
        found = dict(_with_inputs(part, name))
        if found:  # other parts read this one
            return found
    return {
        name: found
        for part, value in model.items() if part != 'backbone'
        for name, found in _with_inputs(value, part)
    }


def refit(model: dict, before: Sequence[int], after: Sequence[int]) -> None:
    """Fit what reads the backbone to the channels that it gives now.

    Args:
        model (dict): The config of a model, changed in place.
        before (Sequence[int]): The channels that its backbone gave.
        after (Sequence[int]): Those that it gives now.

    Raises:
        ValueError: If a reader asks for others than it gave.
    """
    for name, reader in readers(model).items():
        given = reader['in_channels']
        if isinstance(given, (list, tuple)) and list(given) == list(before):
            reader['in_channels'] = list(after)
        elif given in before:
            reader['in_channels'] = dict(zip(before, after))[given]
        else:
            raise ValueError(f'{name}.in_channels is {given}, but the '
                             f'student\'s backbone gives {list(before)}')


def narrow(model: dict, width: float) -> bool:
    """Multiply all channels of necks and heads, but for the backbone's.

    Args:
        model (dict): The config of a model, changed in place.
        width (float): The factor. A number that it does not make a whole one
            stays.

    Returns:
        bool: Whether anything was changed.
    """
    kept = [id(reader) for reader in readers(model).values()]
    # By identity: two parts of a config may be one object.
    owners = {
        id(owner): owner
        for owner in dicts_in(
            [v for k, v in model.items() if k not in _OTHERS])
    }
    changed = False
    for owner in owners.values():
        for key, value in owner.items():
            if type(value) is not int or not key.endswith('channels') or (
                    key == 'in_channels' and id(owner) in kept):
                continue
            narrower = value * width
            if 1 <= narrower == int(narrower) != value:
                owner[key] = int(narrower)
                changed = True
    return changed


def _with_inputs(part: Any, name: str) -> Iterator[Tuple[str, dict]]:
    """The outermost dicts in a part of a model that have in_channels."""
    if isinstance(part, dict) and 'in_channels' in part:
        yield name, part
    elif isinstance(part, (dict, list, tuple)):
        items = part.items() if isinstance(part, dict) else enumerate(part)
        for key, value in items:
            yield from _with_inputs(value, f'{name}.{key}')
