# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Files that are whole, or not there."""
import os
from contextlib import contextmanager
from typing import IO, Iterator

__all__ = ['atomic_write']


@contextmanager
def atomic_write(path: str, binary: bool = False) -> Iterator[IO]:
    """Open a file for writing that takes its name only when it is complete.

    A process that is killed meanwhile, or an error in the block, leaves the
    earlier file as it was. Several processes may write to one path: the last
    one wins.

    Args:
        path (str): Path of the file. Its folder must exist.
        binary (bool): Whether bytes are written. Defaults to False, text in
            UTF-8.
    """
    # In the same folder: a rename across file systems is not atomic.
    temporary = f'{path}.{os.getpid()}.tmp'
    try:
        with open(
                temporary,
                'wb' if binary else 'w',
                encoding=None if binary else 'utf-8') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
