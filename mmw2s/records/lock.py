# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A lock that lets one run at a time use a work_dir."""
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

__all__ = ['LOCK', 'has_ended', 'hold', 'holder', 'release']

#: The lock file. It names the process that holds the lock. After a release the
#: file stays, and means nothing.
LOCK = '.w2s_lock'

_held: Dict[str, IO] = {}


def hold(work_dir: str) -> Optional[str]:
    """Lock a work_dir for this process until it ends or releases the lock.

    The kernel drops the lock when the process ends, even if it is killed, so
    the run can be resumed at once. On NFS the lock works between machines if
    the server's lock service runs. To lock a second time does no harm.

    Args:
        work_dir (str): The folder; it is created if it does not exist.

    Returns:
        str or None: Why the folder could not be locked: the file system or
        the platform has no locks. None if it is locked.

    Raises:
        RuntimeError: If another process holds the lock. The message names it.
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


def holder(work_dir: str) -> Optional[str]:
    """Who holds the lock of a work_dir, in words; None if nobody does.

    A process that holds it itself is told so, too.
    """
    path = osp.join(osp.realpath(work_dir), LOCK)
    if fcntl is None or not osp.exists(path):
        return None
    with open(path, encoding='utf-8') as file:
        try:
            # Shared: it does not get in the way of others that look.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _described(file.read())
        except OSError:  # a file system without locks
            return None
    return None


def has_ended(work_dir: str) -> bool:
    """Whether the process that the lock of a work_dir names has ended.

    Unlike :func:`holder` it needs no locks of the file system. What runs on
    another machine, and where no lock names a process, counts as running.
    """
    try:
        with open(osp.join(work_dir, LOCK), encoding='utf-8') as file:
            named = json.load(file)
        # Elsewhere than on POSIX, signal 0 is no mere question.
        if named['host'] != socket.gethostname() or os.name != 'posix':
            return False
        os.kill(int(named['pid']), 0)
    except ProcessLookupError:
        return True
    except (KeyError, OSError, TypeError, ValueError):
        pass  # no lock, no process named in it, or another user's process
    return False


def release(work_dir: str) -> None:
    """Unlock a work_dir; does nothing if it is not locked."""
    file = _held.pop(osp.join(osp.realpath(work_dir), LOCK), None)
    if file is not None:
        file.close()


def _described(holder: str) -> str:
    try:
        who = json.loads(holder)
        return (f'process {who["pid"]} on {who["host"]}, since '
                f'{who["since"]}')
    except (KeyError, TypeError, ValueError):  # locked, but not written yet
        return 'its process is not known'


def _let_go() -> None:
    # A forked data loader worker inherits the lock, and would keep it if it
    # lived longer than the process.
    while _held:
        _held.popitem()[1].close()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_let_go)
