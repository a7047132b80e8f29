# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import ctypes
import os
import sys

from mmengine.device import get_device

__all__ = ['keep_freed_memory']

# Of glibc's malloc.h: the free memory at the top of the heap above which it
# goes back to the system; the number of blocks with a mapping of their own.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that a training step has freed.

    A step on a CPU frees its activations, hundreds of MiB. By default glibc
    gives most of that back to the system, which clears each page again when
    the next step asks for it. The peak of the memory stays as it is; between
    two steps less of it is free for other processes.

    Nothing is done where training is not on a CPU, where the user has set one
    of glibc's ``MALLOC_...`` variables, and where there is no glibc.

    Returns:
        bool: Whether it was done.
    """
    if get_device() != 'cpu' or sys.platform != 'linux' or any(
            name.startswith('MALLOC_') for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:  # another C library
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _MOST) and mallopt(_M_MMAP_MAX, 0))
