# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import os.path as osp

__all__ = ['cache_folder']


def cache_folder(kind: str) -> str:
    """Where results of one kind are kept for later runs.

    Below ``$MMW2S_CACHE``, by default ``~/.cache/mmw2s``.
    """
    caches = os.environ.get('XDG_CACHE_HOME', osp.expanduser('~/.cache'))
    root = os.environ.get('MMW2S_CACHE', osp.join(caches, 'mmw2s'))
    return osp.join(root, kind)
