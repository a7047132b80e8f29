# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Write files so that they are never incomplete."""
import os
from contextlib import contextmanager
from typing import IO, Iterator

__all__ = ['atomic_write']


@contextmanager
def atomic_write(path: str, binary: bool = False) -> Iterator[IO]:
    """Open a temporary file that replaces ``path`` when it is complete.

    If the process is killed or the block raises an error, the earlier file
    stays as it was. If several processes write to one path, the last one wins.

    Args:
        path (str): Path of the file. Its folder must exist.
        binary (bool): Whether bytes are written. Defaults to False: text in
            UTF-8.

    Examples:
        >>> with atomic_write('facts.json') as file:
        >>>     json.dump(facts, file)
    """
    # In the same folder, because renaming to another file system is not
    # atomic.
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
