# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Downloads that are cached by URL and never incomplete."""
import hashlib
import os
import os.path as osp
import time
from typing import Callable
from urllib.parse import unquote, urldefrag, urlparse
from urllib.request import Request, urlopen

import torch
from mmengine.dist import barrier
from mmengine.logging import print_log

from .files import whole_file
from .weight_files import hash_in_name, sha256_of

__all__ = ['cached_download']

#: Seconds after which a download fails if almost nothing has arrived.
TIMEOUT = 30.
_LEAST = 1024  # bytes that must arrive within TIMEOUT


def cached_download(url: str, check: Callable[[str], None]) -> str:
    """Download a file once a machine into torch's hub cache.

    Files are cached by their whole URL, so ``.../a/epoch_12.pth`` and
    ``.../b/epoch_12.pth`` are two files. A published file whose name has its
    hash is also taken from the place where ``torch.hub`` puts it. Incomplete
    and refused files are not cached. A cached file that is refused is
    downloaded again.

    Args:
        url (str): An ``http`` or ``https`` URL.
        check (Callable): Takes a path and raises ValueError if the file is not
            as it should be.

    Returns:
        str: Path of the file.

    Raises:
        RuntimeError: If the download fails.
        ValueError: If ``check`` refuses the downloaded file.
    """
    url = urldefrag(url).url
    path = _path_of(url)
    failure = None
    # The first process of a machine downloads, and the others wait for it.
    # Launchers set LOCAL_RANK.
    if os.environ.get('LOCAL_RANK', '0') == '0':
        try:
            _provide(url, path, check)
        except Exception as error:
            failure = error
    barrier()
    if failure is not None:
        raise failure
    if not osp.exists(path):
        raise RuntimeError(f'the first process of this machine could not '
                           f'download {url}: see its error')
    return path


def _path_of(url: str) -> str:
    folder = osp.join(torch.hub.get_dir(), 'checkpoints')
    name = unquote(osp.basename(urlparse(url).path))[-100:]
    name = name.replace(os.sep, '_') or 'checkpoint'
    shared = osp.join(folder, name)
    expected = hash_in_name(name)
    if expected and osp.isfile(shared) and \
            sha256_of(shared).startswith(expected):
        return shared
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    return osp.join(folder, 'mmw2s', key, name)


def _provide(url: str, path: str, check: Callable[[str], None]) -> None:
    if osp.exists(path):
        try:
            check(path)
            print_log(
                f'{url} was downloaded before, to {path}', logger='current')
            return
        except ValueError:
            os.remove(path)
    os.makedirs(osp.dirname(path), exist_ok=True)
    with whole_file(path) as temporary:
        try:
            _download(url, temporary)
        except Exception as error:
            raise RuntimeError(
                f'the teacher\'s checkpoint could not be downloaded from '
                f'{url} ({error or type(error).__name__}). Download it by '
                'hand and give its path as teacher.checkpoint') from error
        check(temporary)


def _download(url: str, path: str) -> None:
    request = Request(url, headers={'User-Agent': 'mmw2s'})
    with urlopen(request, timeout=TIMEOUT) as answer, \
            open(path, 'wb') as file:
        expected = answer.headers.get('Content-Length')
        print_log(
            f'Downloading {url}' +
            (f' ({int(expected) / 2**20:.0f} MiB)' if expected else ''),
            logger='current')
        received = mark = 0
        since = time.monotonic()
        # read1 returns after one read of the socket. read(n) would wait for n
        # bytes, so that a stalled download would not be noticed.
        for part in iter(lambda: answer.read1(1 << 20), b''):
            file.write(part)
            received += len(part)
            if time.monotonic() - since > TIMEOUT:
                if received - mark < _LEAST:
                    raise TimeoutError(f'stalled after {received} bytes')
                mark, since = received, time.monotonic()
    if expected is not None and received != int(expected):
        raise OSError(f'{received} of {expected} bytes arrived')
    name = hash_in_name(osp.basename(urlparse(url).path))
    if name and not sha256_of(path).startswith(name):
        raise OSError('its sha256 does not begin as its name says: '
                      f'{name}')
