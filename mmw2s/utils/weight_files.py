# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Read weight files, check them for damage, and run no code in them."""
import hashlib
import importlib.util
import os.path as osp
import pickle
import re
import zipfile
from typing import Any, Optional

import torch

__all__ = ['has_checksums', 'hash_in_name', 'read_weight_file', 'sha256_of']


class _Inert:
    """Replaces a class whose objects are not needed.

    A training checkpoint of MMEngine has log histories and NumPy scalars
    beside its weights. They are unpickled into this class and thrown away.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# Names in MMEngine's training checkpoints besides those of tensors: the
# message hub's HistoryBuffer, which pickles its methods by `getattr`, and
# NumPy values.
_INERT_NAMES = ('mmengine.logging.history_buffer.HistoryBuffer',
                'builtins.getattr', '__builtin__.getattr', 'builtins.bytes',
                '__builtin__.bytes', 'numpy.core.multiarray._reconstruct',
                'numpy._core.multiarray._reconstruct',
                'numpy.core.multiarray.scalar',
                'numpy._core.multiarray.scalar', 'numpy.ndarray',
                'numpy.dtype', 'numpy.core.numeric._frombuffer',
                'numpy._core.numeric._frombuffer')

# Files that a user may give by mistake: first bytes, and the message.
_OTHERS = (
    (b'version https://git-lfs', 'is a pointer of Git LFS, not the file that '
     'it points to: run "git lfs pull"'),
    (b'\x1f\x8b', 'is compressed (gzip): unpack it'),
    (b'BZh', 'is compressed (bzip2): unpack it'),
    (b'\xfd7zXZ', 'is compressed (xz): unpack it'),
    (b'\x28\xb5\x2f\xfd', 'is compressed (zstd): unpack it'),
    (b'7z\xbc\xaf', 'is an archive (7z): unpack it'),
    (b'Rar!', 'is an archive (rar): unpack it'),
    (b'\x89HDF', 'is an HDF5 file (Keras?), not one of torch'),
    (b'GGUF', 'is a GGUF file, not one of torch'),
)


def read_weight_file(path: str,
                     trust: bool = False,
                     name: Optional[str] = None) -> Any:
    """Read a file of torch or safetensors onto the CPU.

    The format is recognized by the content, not by the name. Files of
    ``torch.save`` since version 1.6 are zip files. All their check sums are
    verified, which ``torch.load`` does not do.

    Args:
        path (str): An existing file.
        trust (bool): Whether any pickled object is loaded, which runs code of
            the file's author. Defaults to False.
        name (str, optional): Name of the file in messages. Defaults to its
            path.

    Returns:
        Any: The content, usually a dict.

    Raises:
        ValueError: If the file is damaged, has another format, or needs more
            than tensors and plain values.
    """
    name = name or path
    kind = _format(path, name)
    if kind == 'safetensors':
        return _read_safetensors(path, name)
    if kind == 'zip':
        _check_zip(path, name)
    else:
        _check_name(path, name)
    try:
        # An open file, because for a path torch 2.13 looks at the suffix.
        with open(path, 'rb') as file:
            if trust:
                return torch.load(file, map_location='cpu', weights_only=False)
            with torch.serialization.safe_globals(_inert_stand_ins()):
                return torch.load(file, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        unsafe = re.search(r'GLOBAL ([\w.]+)', str(error))
        if unsafe is None:
            # torch's own words propose to run whatever the file asks for.
            reason = str(error).rpartition('Unpickler error: ')[2]
            raise ValueError(
                f'{name} is not a readable checkpoint: '
                f'{reason.splitlines()[0] if reason else error}') from error
        raise ValueError(
            f'{name} asks to run {unsafe.group(1)} while it is read, and was '
            'refused. If you trust its author, set '
            'teacher.trust_checkpoint=True') from error
    except Exception as error:  # of any kind, where a file is damaged
        raise ValueError(
            f'{name} is damaged or not a checkpoint of torch '
            f'({type(error).__name__}: {error}). Download or copy it again'
        ) from error


def has_checksums(path: str) -> bool:
    """Whether damage to the tensors would have been noticed.

    It would in torch's zip files, and in files whose name has their hash.
    """
    if zipfile.is_zipfile(path):
        return True
    expected = hash_in_name(path)
    return bool(expected) and sha256_of(path).startswith(expected)


def hash_in_name(path: str) -> Optional[str]:
    """The first digits of SHA-256 at the end of a published file's name.

    OpenMMLab and torch name their files so: ``resnet18-f37072fd.pth``.

    Returns:
        str, optional: The digits. None if there are none, or if they look like
        a date or a number with leading zeros.
    """
    found = re.search(r'-([0-9a-f]{8,64})\.\w+$', osp.basename(path))
    if found is None or re.fullmatch(r'(19|20)\d\d[01]\d[0-3]\d|0\d+',
                                     found.group(1)):
        return None
    return found.group(1)


def sha256_of(path: str) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for part in iter(lambda: file.read(1 << 20), b''):
            digest.update(part)
    return digest.hexdigest()


def _inert_stand_ins() -> list:
    # A class is made for each name, because torch 2.5 does not accept pairs of
    # a class and a name.
    return [
        type(name, (_Inert, ), dict(__module__=module))
        for module, _, name in (full.rpartition('.') for full in _INERT_NAMES)
    ]


def _format(path: str, name: str) -> str:
    """``'zip'``, ``'safetensors'`` or ``'pickle'``; others are refused."""
    with open(path, 'rb') as file:
        head = file.read(512)
    if not head:
        raise ValueError(f'{name} is empty: download or copy it again')
    if head.lstrip(b'\xef\xbb\xbf \t\r\n').startswith(b'<'):
        raise ValueError(
            f'{name} is a web page or XML, not a checkpoint: the server may '
            'ask for a login. Download it by hand')
    for begin, what in _OTHERS:
        if head.startswith(begin):
            raise ValueError(f'{name} {what}')
    if head.startswith(b'PK'):
        return 'zip'
    length = int.from_bytes(head[:8], 'little')
    if head[8:9] == b'{' and length <= osp.getsize(path) - 8:
        return 'safetensors'
    _refuse_text(head, name)
    if path.endswith('.safetensors'):
        raise ValueError(f'{name} does not begin as a file of safetensors '
                         'does. Download or copy it again')
    return 'pickle'


def _refuse_text(head: bytes, name: str) -> None:
    """Refuse text files, which a user may have given by mistake."""
    try:
        text = head[:500].decode()
    except UnicodeDecodeError as error:
        if error.start < 490:  # else the last character may be cut in two
            return
        text = head[:error.start].decode()
    if not text.replace('\n', ' ').replace('\t', ' ').replace(
            '\r', ' ').isprintable():
        return
    if '"weight_map"' in text or name.endswith('.index.json'):
        raise ValueError(f'{name} lists the shards of a model: load them all, '
                         'and save their tensors as one file')
    raise ValueError(
        f'{name} is a text ({text.split()[0][:100]} ...), not weights' +
        (': give the checkpoint that it names' if '.pth' in text else ''))


def _check_zip(path: str, name: str) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            members, broken = file.namelist(), file.testzip()
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(f'{name} is damaged: it cannot be read as the zip '
                         f'file that it begins as ({error}). Download or '
                         'copy it again') from error
    if broken is not None:
        raise ValueError(f'{name} is damaged: the check sum of {broken} in it '
                         'is wrong. Download or copy it again')
    if any(member.endswith('/constants.pkl') for member in members):
        raise ValueError(f'{name} is a TorchScript program. A checkpoint '
                         'with a state_dict is needed')
    if not any(member.endswith('data.pkl') for member in members):
        raise ValueError(f'{name} is a zip archive without weights of torch '
                         f'(it has {", ".join(members[:3]) or "no files"}): '
                         'unpack it, if they are in it')


def _check_name(path: str, name: str) -> None:
    # The older format has no check sums, but names of published files have a
    # hash.
    expected = hash_in_name(path)
    if expected and not sha256_of(path).startswith(expected):
        raise ValueError(
            f'{name} is damaged: its sha256 does not begin with {expected}, '
            'as its name says. Download or copy it again (or rename it, if '
            'that is no hash)')


def _read_safetensors(path: str, name: str) -> Any:
    if importlib.util.find_spec('safetensors') is None:
        raise ValueError(
            f'{name} is a file of safetensors: run pip install safetensors, '
            'or save it with torch.save')
    from safetensors.torch import load_file
    try:
        return load_file(path, device='cpu')
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(f'{name} is damaged or not a file of safetensors '
                         f'({error}). Download or copy it again') from error
