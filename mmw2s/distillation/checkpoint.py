# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Reading a checkpoint's weights without running anybody's pickled code."""
import os
import os.path as osp
import pickle
import re
from collections import OrderedDict
from typing import Any, Tuple
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier

__all__ = ['load_weights']


class _Inert:
    """Stands in for a class of which only the name matters here.

    A training checkpoint of MMEngine holds log histories and numpy scalars
    beside its weights. They are unpickled into this and thrown away.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# What MMEngine's training checkpoints name beside tensors: the message hub's
# HistoryBuffer (which pickles its methods by `getattr`) and numpy values.
_INERT_NAMES = ('mmengine.logging.history_buffer.HistoryBuffer',
                'builtins.getattr', '__builtin__.getattr', 'builtins.bytes',
                '__builtin__.bytes', 'numpy.core.multiarray._reconstruct',
                'numpy._core.multiarray._reconstruct',
                'numpy.core.multiarray.scalar',
                'numpy._core.multiarray.scalar', 'numpy.ndarray',
                'numpy.dtype', 'numpy.core.numeric._frombuffer',
                'numpy._core.numeric._frombuffer')


def _inert_stand_ins() -> list:
    # Classes of these names: torch 2.5 takes no pair of a class and a name.
    return [
        type(name, (_Inert, ), dict(__module__=module))
        for module, _, name in (full.rpartition('.') for full in _INERT_NAMES)
    ]


def _download(url: str) -> str:
    """Fetch ``url`` into torch's hub cache, once a machine."""
    folder = osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(urlparse(url).path))
    # OpenMMLab's files carry the beginning of their sha256 in the name.
    found = re.search(r'-([0-9a-f]{8,})\.', osp.basename(path))
    # The others come second, and find it there. Launchers set LOCAL_RANK.
    is_first = os.environ.get('LOCAL_RANK', '0') == '0'
    for our_turn in (is_first, not is_first):
        if our_turn and not osp.exists(path):
            os.makedirs(folder, exist_ok=True)
            try:
                torch.hub.download_url_to_file(
                    url, path, hash_prefix=found.group(1) if found else None)
            except Exception as error:
                raise RuntimeError(
                    f'the teacher\'s checkpoint could not be downloaded from '
                    f'{url} ({error}). Download it by hand and give its path '
                    'as teacher.checkpoint') from error
        barrier()
    return path


def load_weights(source: str,
                 trust: bool = False) -> Tuple['OrderedDict', dict]:
    """Load the model weights of a checkpoint onto the CPU.

    Nothing but tensors and plain Python values is unpickled. The few other
    names that MMEngine's own training checkpoints hold are replaced by inert
    stand-ins.

    Args:
        source (str): A path or an ``http(s)://`` URL.
        trust (bool): Unpickle whatever the file asks for. Only for files of
            which you trust the author: unpickling runs code.
            Defaults to False.

    Returns:
        Tuple[OrderedDict, dict]: The state dict, without a wrapper's
        ``module.`` prefix, and the checkpoint's ``meta`` ({} where it has
        none).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a checkpoint, is damaged, or needs more
            than tensors and plain values.
    """
    path = _download(source) if source.startswith(
        ('http://', 'https://')) else osp.expanduser(source)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'teacher.checkpoint should be a file or a URL, but there is no '
            f'file {path!r}')
    try:
        if trust:
            checkpoint = torch.load(
                path, map_location='cpu', weights_only=False)
        else:
            with torch.serialization.safe_globals(_inert_stand_ins()):
                checkpoint = torch.load(
                    path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        unsafe = re.search(r'GLOBAL ([\w.]+)', str(error))
        if unsafe is None:
            raise ValueError(f'{path} is not a readable checkpoint: '
                             f'{error}') from error
        raise ValueError(
            f'{path} asks to run {unsafe.group(1)} while it is read, and was '
            'refused. If you trust its author, set '
            'teacher.trust_checkpoint=True') from error
    except Exception as error:  # of any kind, where a file is damaged
        raise ValueError(
            f'{path} is damaged or not a checkpoint of torch '
            f'({type(error).__name__}: {error}). Download or copy it again'
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f'{path} should hold a dict of weights, but holds a '
                         f'{type(checkpoint).__name__}')
    given = checkpoint.get('state_dict', checkpoint)
    weights = _unwrapped({
        key: value
        for key, value in (given if isinstance(given, dict) else {}).items()
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    })
    # Versions of modules: some rename keys of files that do not have them.
    weights._metadata = _unwrapped(getattr(given, '_metadata', {}))
    if not weights:
        raise ValueError(f'{path} holds no weights: neither a "state_dict" '
                         'nor tensors at the top level')
    meta = checkpoint.get('meta')
    return weights, meta if isinstance(meta, dict) else {}


def _unwrapped(entries: dict) -> 'OrderedDict':
    """The entries without a wrapper's prefix in their keys."""
    return OrderedDict(
        (key[len('module.'):] if key.startswith('module.') else key, value)
        for key, value in entries.items())
