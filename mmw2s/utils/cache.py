# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A cache of results that are computed once, for later runs."""
import hashlib
import logging
import os
import os.path as osp
from typing import IO, Any, Callable, Optional, TypeVar

import torch
from mmengine.logging import print_log
from torch import nn

from .files import atomic_write

__all__ = ['cache_folder', 'keep', 'kept_at', 'read_kept', 'weights_hash']

T = TypeVar('T')


def cache_folder(kind: str) -> str:
    """The cache folder for one kind of result.

    It is below ``$MMW2S_CACHE``, by default ``~/.cache/mmw2s``.

    Args:
        kind (str): Name of the kind of result.
    """
    caches = os.environ.get('XDG_CACHE_HOME', osp.expanduser('~/.cache'))
    root = os.environ.get('MMW2S_CACHE', osp.join(caches, 'mmw2s'))
    return osp.join(root, kind)


def kept_at(kind: str, digest: Any, extension: str) -> str:
    """The file of a result, named by a hash of all that it depends on.

    Args:
        kind (str): See :func:`cache_folder`.
        digest (Any): A hash object of ``hashlib``.
        extension (str): Extension of the file, such as ``'json'``.
    """
    return osp.join(
        cache_folder(kind), f'{digest.hexdigest()[:32]}.{extension}')


def read_kept(path: str, what: str, read: Callable[[str], T]) -> Optional[T]:
    """Read a result that an earlier run has written.

    Args:
        path (str): Path of the file.
        what (str): Name of the result, for the log.
        read (Callable): Reads the file. If it raises anything, the file is
            taken for damaged.

    Returns:
        T, optional: The result. None if there is no file; None and a warning
        if the file is damaged.
    """
    if not osp.lexists(path):
        return None
    try:
        if not osp.isfile(path):
            raise ValueError('it is no file')
        return read(path)
    except Exception as error:
        print_log(
            f'{path}, which keeps {what}, is damaged '
            f'({type(error).__name__}: {error}): that is measured anew',
            logger='current',
            level=logging.WARNING)
        return None


def keep(path: str,
         what: str,
         write: Callable[[IO], None],
         binary: bool = False) -> None:
    """Keep a result for later runs. That this fails is no reason to end one.

    Args:
        path (str): Where it is kept.
        what (str): What it is, for the log.
        write (Callable): Writes it to an open file.
        binary (bool): Whether it writes bytes. Defaults to False.
    """
    try:
        os.makedirs(osp.dirname(path), exist_ok=True)
        with atomic_write(path, binary) as file:
            write(file)
    except OSError as error:
        print_log(
            f'{path} could not be written, to keep {what} for later runs '
            f'({error}); $MMW2S_CACHE names another folder',
            logger='current',
            level=logging.WARNING)


def weights_hash(model: nn.Module) -> str:
    """What tells results of these weights from those of others."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(
            torch.uint8).numpy().tobytes())
    return digest.hexdigest()
