# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The registries of mmw2s.

Hooks, losses, data sets and metrics are registered in MMEngine's own root
registries, so that they are found from every OpenMMLab scope by their bare
name. The three questions that MMEngine has no registry for get one here:
*what* is transferred (:data:`KNOWLEDGE`), *how strongly* (:data:`SCHEDULES`)
and *until when* (:data:`STOP_RULES`).
"""
import difflib
import inspect
from typing import Any, Iterable

from mmengine.registry import Registry, build_from_cfg

__all__ = [
    'KNOWLEDGE', 'SCHEDULES', 'STOP_RULES', 'check_config', 'check_fields',
    'find_class', 'is_kind'
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
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f'did you mean "{nearest[0]}"?' if nearest else \
            f'its fields are: {", ".join(known)}'
        raise TypeError(f'{owner} has no field "{name}": {hint}')


def check_config(owner: str, cls: Any, cfg: dict) -> None:
    """Refuse a config with fields that the constructor does not take.

    A constructor with ``**kwargs`` is left to refuse them itself.
    """
    parameters = inspect.signature(cls).parameters.values()
    if all(p.kind is not p.VAR_KEYWORD for p in parameters):
        check_fields(owner, (k for k in cfg if k not in ('type', '_scope_')),
                     (p.name for p in parameters))


def is_kind(module: Any, *names: str) -> bool:
    """Whether an object is of one of these classes, or descends from one.

    By name, so that the package that has the class need not be installed.
    """
    return any(cls.__name__ in names for cls in type(module).__mro__)


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
    """
    if not isinstance(kind, str):
        return kind
    try:
        cls = registry.get(kind)
    except RuntimeError:
        cls = None
    if cls is None:
        known = sorted(known)
        nearest = difflib.get_close_matches(kind, known, n=1, cutoff=0.4)
        raise KeyError(f'"{kind}" is not {what}: ' +
                       (f'did you mean "{nearest[0]}"? ' if nearest else '') +
                       f'Registered are: {", ".join(known)}')
    return cls


def build_checked(cfg: dict, registry: Registry, **kwargs: Any) -> Any:
    """Build from a config whose fields are checked against the signature.

    Like :func:`mmengine.registry.build_from_cfg`, but always in the scope of
    mmw2s, whatever the default scope of the run is, and with
    :func:`check_config` before anything is built.
    """
    if not isinstance(cfg, dict) or 'type' not in cfg:
        raise TypeError(f'a {registry.name} should be a dict with the key '
                        f'"type", but got {cfg!r}')
    cls = find_class(f'a registered {registry.name}', cfg['type'], registry,
                     registry.module_dict)
    check_config(cls.__name__, cls, cfg)
    return build_from_cfg(
        dict(cfg, type=cls, _scope_='mmw2s'), registry, **kwargs)


KNOWLEDGE = Registry(
    'knowledge',
    scope='mmw2s',
    build_func=build_checked,
    locations=['mmw2s.distillation.knowledge'])
SCHEDULES = Registry(
    'schedule',
    scope='mmw2s',
    build_func=build_checked,
    locations=['mmw2s.distillation.schedules'])
STOP_RULES = Registry(
    'stop rule',
    scope='mmw2s',
    build_func=build_checked,
    locations=['mmw2s.distillation.stop_rules'])
