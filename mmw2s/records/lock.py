# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""One run at a time in a work_dir."""
import json
import os
import os.path as osp
import socket
import time
from typing import IO, Dict, Optional

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ['LOCK', 'hold', 'release']

#: Names who holds it; it stays when it is released, and means nothing then.
LOCK = '.w2s_lock'

_held: Dict[str, IO] = {}


def hold(work_dir: str) -> Optional[str]:
    """Take a work_dir for this process, until it dies or releases it.

    The kernel keeps the lock and drops it when the process ends in whichever
    way, so that what was killed can be resumed at once. Over NFS it holds
    between machines where the server's lock service runs. A process that
    holds it already takes it again.

    Args:
        work_dir (str): The folder; it is made if it does not exist.

    Returns:
        str or None: Why nothing is locked, where the file system or the
        platform has no locks.

    Raises:
        RuntimeError: If another process holds it, naming that.
    """
    if fcntl is None:
        return 'this platform has no file locks'
    os.makedirs(work_dir, exist_ok=True)
    path = osp.join(osp.realpath(work_dir), LOCK)
    if path in _held:
        return None
    file = open(path, 'a+', encoding='utf-8')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read()
        file.close()
        raise RuntimeError(
            f'the work_dir {work_dir} is in use by another run '
            f'({_described(holder)}): two runs would mix up their records and '
            'checkpoints. Wait until it has ended, end it, or give this run '
            'another work_dir') from None
    except OSError as error:
        file.close()
        return f'its file system has no locks ({error.strerror})'
    file.truncate(0)
    json.dump(
        dict(
            pid=os.getpid(),
            host=socket.gethostname(),
            since=time.strftime('%Y-%m-%d %H:%M:%S')), file)
    file.flush()
    _held[path] = file
    return None


def release(work_dir: str) -> None:
    """Give a work_dir free; nothing happens if it is not held."""
    file = _held.pop(osp.join(osp.realpath(work_dir), LOCK), None)
    if file is not None:
        file.close()


def _described(holder: str) -> str:
    try:
        who = json.loads(holder)
        return (f'process {who["pid"]} on {who["host"]}, since '
                f'{who["since"]}')
    except (KeyError, TypeError, ValueError):  # it has just been locked
        return 'its process is not known'


def _let_go() -> None:
    # A worker that outlives the process would go on holding its lock.
    while _held:
        _held.popitem()[1].close()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_let_go)
