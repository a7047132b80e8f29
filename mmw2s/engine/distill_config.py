# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The hook in a config that is made or changed in Python."""
import copy
import os
from typing import Any, Optional, Union

from mmengine.config import Config, ConfigDict
from mmengine.registry import HOOKS

from mmw2s.records.files import FIRST
from .launch import DISTILL_HOOK, is_of_type, load_config

__all__ = ['distill', 'hook_in', 'import_package']

_PACKAGE = 'mmw2s'


def distill(cfg: Union[Config, str, os.PathLike],
            teacher: Optional[Union[Config, dict, str]] = None,
            **fields: Any) -> Config:
    """Give a run a weak teacher.

    Args:
        cfg (Config or str): The config of a run; a string is its path, or a
            name for :func:`mmw2s.config`. It is not changed.
        teacher (Config, dict or str, optional): The teacher, as in
            :class:`~mmw2s.engine.hooks.WeakTeacherDistillHook`. Defaults to
            None: the one of the hook that the config has.
        **fields: Further fields of the hook. Those that are not given stay as
            they are in the hook that the config has, if there is one.

    Returns:
        Config: A copy with the hook, for ``Runner.from_cfg``. A new hook is
        ``default_hooks.w2s``.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If ``cfg`` is no config, or a field is unknown.
        ValueError: If there is no teacher, a field is wrong, or the config has
            several such hooks.

    Examples:
        >>> cfg = Config.fromfile('my_retinanet.py')
        >>> cfg.work_dir = 'work_dirs/w2s'
        >>> cfg = mmw2s.distill(cfg, teacher=dict(
        >>>     config='my_weak_model.py', checkpoint='my_weak_model.pth'))
        >>> Runner.from_cfg(cfg).train()
    """
    if isinstance(cfg, (str, os.PathLike)):
        cfg = load_config(os.fspath(cfg))
    elif isinstance(cfg, Config):
        cfg = copy.deepcopy(cfg)
    else:
        raise TypeError('cfg should be a Config or the path of one, but got '
                        f'{type(cfg).__name__}: a dict becomes one by '
                        'Config(dict(...))')
    hook = hook_in(cfg)
    if teacher is not None:
        fields['teacher'] = teacher
    for name, value in fields.items():
        hook[name] = _plain(value)
    if hook.get('teacher') is None:
        raise ValueError('distill() should be given a teacher, such as '
                         "teacher=dict(config='weak.py', checkpoint='weak.pth'"
                         '): the config has no hook that names one')
    # Wrong fields are refused here, where they are given.
    HOOKS.build({k: v for k, v in hook.items() if k != 'priority'})
    import_package(cfg)
    return cfg


def hook_in(cfg: Config) -> ConfigDict:
    """The hook in a config; it is added where there is none.

    Raises:
        ValueError: If the config has several such hooks.
    """
    if not cfg.get('default_hooks'):
        cfg.default_hooks = dict()
    found = [
        hook for hook in (*cfg.default_hooks.values(),
                          *(cfg.get('custom_hooks') or ()))
        if is_of_type(hook, DISTILL_HOOK, HOOKS)
    ]
    if not all(isinstance(hook, dict) for hook in found):
        raise ValueError(f'{DISTILL_HOOK} should be a dict in the config, '
                         f'but is {found}')
    if len(found) > 1:
        names = ', '.join(hook.get('name', FIRST) for hook in found)
        raise ValueError(
            f'the config should have one {DISTILL_HOOK} at most, but has '
            f'{names}: train a config with several teachers as it is')
    if not found:
        cfg.default_hooks.w2s = dict(type=f'{_PACKAGE}.{DISTILL_HOOK}')
        found = [cfg.default_hooks.w2s]
    return found[0]


def _plain(value: Any) -> Any:
    """A value as a config holds it: of dicts instead of configs."""
    if isinstance(value, Config):
        return value.to_dict()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def import_package(cfg: Config) -> None:
    """Add the package to ``custom_imports``, beside what is there.

    Args:
        cfg (Config): The config of a run; it is changed in place.
    """
    imports = (cfg.get('custom_imports') or {}).get('imports') or []
    names = [imports] if isinstance(imports, str) else [*imports]
    if _PACKAGE not in names:
        cfg.custom_imports = dict(
            cfg.get('custom_imports') or {}, imports=[*names, _PACKAGE])
