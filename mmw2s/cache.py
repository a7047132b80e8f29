# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import hashlib
import os
import os.path as osp

import torch
from torch import nn

__all__ = ['cache_folder', 'weights_hash']


def cache_folder(kind: str) -> str:
    """The cache folder for one kind of result.

    It is below ``$MMW2S_CACHE``, by default ``~/.cache/mmw2s``.

    Args:
        kind (str): Name of the kind of result.
    """
    caches = os.environ.get('XDG_CACHE_HOME', osp.expanduser('~/.cache'))
    root = os.environ.get('MMW2S_CACHE', osp.join(caches, 'mmw2s'))
    return osp.join(root, kind)


def weights_hash(model: nn.Module) -> str:
    """SHA-256 of all names and values in a model's ``state_dict``."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(
            torch.uint8).numpy().tobytes())
    return digest.hexdigest()
