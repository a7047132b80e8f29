# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Read the weights of a model from a checkpoint."""
import logging
import os
import os.path as osp
import re
from collections import OrderedDict
from typing import Any, Dict, List, Tuple
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
from mmengine.logging import print_log
from torch import nn

from mmw2s.utils.downloads import cached_download
from mmw2s.utils.weight_files import has_checksums, read_weight_file

__all__ = ['load_weights', 'unwrapped_name']

# Usual keys of the weights: in MMEngine and most others; in torchvision and
# timm; in PyTorch's tutorials.
_PLACES = ('state_dict', 'model', 'model_state_dict')

# Parts of names that wrappers add: torch.compile, FSDP, and activation
# checkpointing.
_WRAPPERS = re.compile(
    r'(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)'
    r'(?=\.)')


def load_weights(source: str,
                 trust: bool = False) -> Tuple['OrderedDict', dict]:
    """Load the weights of a model from a checkpoint onto the CPU.

    Only tensors and plain Python values are unpickled. A few other classes in
    MMEngine's training checkpoints are replaced by harmless ones. If a run has
    an ``EMAHook``, MMEngine saves the averaged weights as ``state_dict``, and
    these are loaded.

    Args:
        source (str): A path, or a URL of ``http``, ``https`` or ``file``.
        trust (bool): Whether any pickled object is loaded. This runs code in
            the file, so use it only if you trust its author. Defaults to
            False.

    Returns:
        Tuple[OrderedDict, dict]: The state dict, without prefixes of wrappers
        (see :func:`unwrapped_name`), and the checkpoint's ``meta``, {} if it
        has none.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If the download fails.
        ValueError: If the file is no checkpoint, is damaged, or needs more
            than tensors and plain values.
    """
    path, name = osp.expanduser(os.fspath(source)), None
    read: List[Tuple['OrderedDict', dict]] = []
    if re.match('https?://', path, re.IGNORECASE):
        name = path
        # The check reads the file, so its content is kept.
        path = cached_download(
            name, lambda file: read.append(_weights_in(file, trust, name)))
    elif re.match('file://', path, re.IGNORECASE):
        path = url2pathname(urlparse(path).path)
    elif '://' in path:
        raise ValueError('teacher.checkpoint should be a path or an http(s) '
                         f'URL, but got {source!r}: download it by hand')
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'teacher.checkpoint should be a file or a URL, but there is no '
            f'file {path!r}' + (', it is a folder' if osp.isdir(path) else ''))
    weights, meta = read[-1] if read else _weights_in(path, trust, name
                                                      or path)
    if not has_checksums(path):
        print_log(
            f'{path} is of a format without check sums: if it was damaged on '
            'its way, that cannot be seen. To give it some, load it with '
            'torch.load and save it with torch.save.',
            logger='current',
            level=logging.WARNING)
    return weights, meta


def unwrapped_name(key: str) -> str:
    """A tensor's name without the parts that wrappers of the model add.

    These are ``module.`` at the beginning (DataParallel, DDP, averaged models)
    and, anywhere, ``_orig_mod.`` (torch.compile), ``_fsdp_wrapped_module.``
    and ``_checkpoint_wrapped_module.``.
    """
    key = _WRAPPERS.sub('', key)
    while key.startswith(('module.', '.')):
        key = key.partition('.')[2]
    return key


def _weights_in(path: str, trust: bool,
                name: str) -> Tuple['OrderedDict', dict]:
    checkpoint = read_weight_file(path, trust, name)
    given = _holder(checkpoint, name)
    weights = _unwrapped(_tensors(given), name)
    # Versions of modules. Without them, some modules would take the file for
    # an old one and rename its keys.
    versions = getattr(given, '_metadata', None) or {}
    weights._metadata = OrderedDict((unwrapped_name(f'{key}.')[:-1], value)
                                    for key, value in versions.items())
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    return weights, meta if isinstance(meta, dict) else {}


def _holder(checkpoint: Any, name: str) -> dict:
    """The dict with the weights: the file's own, or a dict in it.

    Raises:
        ValueError: If there is none, or several without a usual name.
    """
    if isinstance(checkpoint, nn.Module):  # only in a trusted file
        return checkpoint.state_dict()
    if not isinstance(checkpoint, dict):
        raise ValueError(f'{name} should hold a dict of weights, but holds a '
                         f'{type(checkpoint).__name__}')
    for place in _PLACES:
        inner = checkpoint.get(place)
        if isinstance(inner, dict) and not _tensors(inner):
            inner = next((inner[p] for p in _PLACES if p in inner), None)
        if isinstance(inner, nn.Module) or _tensors(inner):
            return _holder(inner, name)
    # A tensor of shape () may be a count or a score.
    if any(value.dim() for value in _tensors(checkpoint).values()):
        return checkpoint
    others = [key for key, value in checkpoint.items() if _tensors(value)]
    if len(others) > 1:
        raise ValueError(
            f'{name} holds tensors under {", ".join(map(repr, others))}: '
            'which are the weights that are meant cannot be known. Save those '
            'alone, under "state_dict"')
    if not others:
        held = ', '.join(map(repr, list(checkpoint)[:5])) or 'nothing'
        raise ValueError(f'{name} holds no weights: no tensors of torch at '
                         'the top level, under "state_dict" or elsewhere, but '
                         f'{held}')
    print_log(
        f'The weights of the teacher are those under {others[0]!r} in {name}',
        logger='current')
    return checkpoint[others[0]]


def _tensors(held: Any) -> Dict[str, torch.Tensor]:
    """The named tensors in a dict; empty for anything else."""
    return {
        key: value
        for key, value in held.items()
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    } if isinstance(held, dict) else {}


def _unwrapped(entries: dict, name: str) -> 'OrderedDict':
    weights: Any = OrderedDict()
    for key, value in entries.items():
        short = unwrapped_name(key)
        other = weights.get(short)
        if other is not None and not (other.shape == value.shape
                                      and torch.equal(other, value)):
            raise ValueError(
                f'{name} holds two different {short}, one with a wrapper\'s '
                f'prefix ({key}): which is meant cannot be known. Save the '
                'weights of one model alone')
        weights[short] = value
    return weights
