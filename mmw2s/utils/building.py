# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Building from configs whose fields are checked, in the user's words."""
import difflib
import inspect
from contextlib import contextmanager
from typing import Any, Iterable, Iterator

from mmengine.registry import Registry, build_from_cfg

__all__ = [
    'build_checked', 'check_config', 'check_fields', 'find_class', 'owned_by'
]


def check_fields(owner: str, given: Iterable[str],
                 known: Iterable[str]) -> None:
    """Refuse fields that ``owner`` does not have, naming the nearest ones.

    Args:
        owner (str): What the fields were given to, for the message.
        given (Iterable[str]): Names of the fields that were given.
        known (Iterable[str]): Names of the fields that exist.

    Raises:
        TypeError: If a given field is not a known one.
    """
    known = list(known)
    for name in given:
        if name in known:
            continue
        nearest = difflib.get_close_matches(str(name), known, n=1)
        if nearest:
            hint = f'did you mean "{nearest[0]}"?'
        elif known:
            hint = f'its fields are: {", ".join(known)}'
        else:
            hint = 'it has none'
        raise TypeError(f'{owner} has no field "{name}": {hint}')


def check_config(owner: str, cls: Any, cfg: dict) -> None:
    """Refuse a config with fields that the constructor does not take.

    A constructor with ``**kwargs`` is left to refuse them itself.
    """
    parameters = inspect.signature(cls).parameters.values()
    if all(p.kind is not p.VAR_KEYWORD for p in parameters):
        check_fields(owner, (k for k in cfg if k not in ('type', '_scope_')),
                     (p.name for p in parameters))


@contextmanager
def owned_by(owner: str, kind: str = '') -> Iterator[None]:
    """Add the path in the config to the messages of errors.

    "PKDLoss.eps should be ..." becomes "WeakTeacherDistillHook.distill[0].loss
    (PKDLoss).eps should be ...".

    Args:
        owner (str): The path of the config. Empty: errors stay as they are.
        kind (str): Name of the class that is built from it. Defaults to none.

    Raises:
        KeyError, TypeError, ValueError: Those raised within, with the path.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        if not owner:
            raise
        text = str(error.args[0] if error.args else error)
        if kind:
            owner = f'{owner} ({kind})'
        if kind and text.startswith((f'{kind}.', f'{kind} ')):
            text = owner + text[len(kind):]
        else:
            text = f'{owner}: {text}'
        # Some derived errors cannot be built from a text alone.
        base = next(
            kind for kind in (KeyError, TypeError, ValueError)
            if isinstance(error, kind))
        raise base(text) from error


def find_class(what: str, kind: Any, registry: Registry,
               known: Iterable[str]) -> Any:
    """The class that the ``type`` of a config names.

    Args:
        what (str): What it should be, for the message.
        kind (str or type): The ``type``; a class is given back as it is.
        registry (Registry): Where it is looked up.
        known (Iterable[str]): Names for the message.

    Raises:
        KeyError: If there is no such class. The message names the nearest.
        TypeError: If it is neither a name nor a class.
    """
    if not isinstance(kind, str):
        if not callable(kind):
            raise TypeError(f'"type" should be the name of {what}, but got '
                            f'{kind!r}')
        return kind
    try:
        cls = registry.get(kind) if kind else None
    except (ImportError, RuntimeError, TypeError, ValueError):  # dotted
        cls = None
    if not callable(cls):
        known = sorted(known)
        nearest = difflib.get_close_matches(kind, known, n=1, cutoff=0.4)
        raise KeyError(f'"{kind}" is not {what}: ' +
                       (f'did you mean "{nearest[0]}"? ' if nearest else '') +
                       f'Registered are: {", ".join(known)}')
    return cls


def build_checked(cfg: dict,
                  registry: Registry,
                  owner: str = '',
                  **kwargs: Any) -> Any:
    """Build from a config whose fields are checked against the signature.

    Like :func:`mmengine.registry.build_from_cfg`, but always in the scope of
    mmw2s, whatever the default scope of the run is, and with
    :func:`check_config` before anything is built.

    Args:
        cfg (dict): What to build.
        registry (Registry): Where its ``type`` is looked up.
        owner (str): Path of the config, for the messages. Defaults to none.
    """
    with owned_by(owner):
        if not isinstance(cfg, dict) or 'type' not in cfg:
            known = sorted(registry.module_dict)
            raise TypeError(
                f'a {registry.name} should be a dict with the key "type", '
                f'such as dict(type="{known[0] if known else "..."}", ...), '
                f'but got {cfg!r}. Registered are: {", ".join(known)}')
        cls = find_class(f'a registered {registry.name}', cfg['type'],
                         registry, registry.module_dict)
    name = getattr(cls, '__name__', str(cls))
    with owned_by(owner, name):
        check_config(name, cls, cfg)
        return build_from_cfg(
            dict(cfg, type=cls, _scope_='mmw2s'), registry, **kwargs)
