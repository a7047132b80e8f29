# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The hooks in a run's config, wherever they stand."""
from typing import List, Mapping

from .kinds import bare_name

__all__ = ['all_hooks', 'hook_configs']


def all_hooks(cfg: Mapping) -> List[dict]:
    """The configs of a run's hooks: ``default_hooks``, then ``custom_hooks``.

    Args:
        cfg (Mapping): The config of a run.
    """
    hooks = [
        *(cfg.get('default_hooks') or {}).values(),
        *(cfg.get('custom_hooks') or [])
    ]
    return [hook for hook in hooks if hook]  # one that is switched off is None


def hook_configs(cfg: Mapping, kind: str) -> List[dict]:
    """The configs of a run's hooks of one class.

    Args:
        cfg (Mapping): The config of a run. Its hooks are in ``default_hooks``
            by name and in ``custom_hooks`` by position.
        kind (str): The bare name of the class.
    """
    # A default hook that is only adjusted has no type.
    return [
        hook for hook in all_hooks(cfg) if bare_name(hook.get('type')) == kind
    ]
