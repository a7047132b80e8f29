# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Write files so that they are never incomplete."""
import os
import os.path as osp
import socket
from contextlib import contextmanager
from typing import IO, Iterator

__all__ = ['atomic_write', 'whole_file']


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """Give a path to write to; the file there replaces ``path`` at the end.

    If the process is killed or the block raises an error, the earlier file
    stays as it was. If several processes write to one path, the last one wins.

    Args:
        path (str): Path of the file. Its folder must exist.
    """
    # In the same folder, because renaming to another file system is not
    # atomic. The suffix is kept, because some formats are recognized by it.
    folder, name = osp.split(path)
    temporary = osp.join(folder,
                         f'.{socket.gethostname()}.{os.getpid()}.{name}')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if osp.exists(temporary):
            os.remove(temporary)


@contextmanager
def atomic_write(path: str, binary: bool = False) -> Iterator[IO]:
    """Open a file that replaces ``path`` when it is complete.

    See :func:`whole_file`.

    Args:
        path (str): Path of the file. Its folder must exist.
        binary (bool): Whether bytes are written. Defaults to False: text in
            UTF-8.

    Examples:
        >>> with atomic_write('facts.json') as file:
        >>>     json.dump(facts, file)
    """
    with whole_file(path) as temporary:
        with open(
                temporary,
                'wb' if binary else 'w',
                encoding=None if binary else 'utf-8') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
