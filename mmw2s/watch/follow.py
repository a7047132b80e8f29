# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Follow runs that somebody trains, from their work_dirs."""
import os
import os.path as osp
import time
from typing import List, Optional, Sequence

from .display import LiveDisplay
from .run_files import is_run
from .stage import ENDED, Row, Stage

__all__ = ['find_runs', 'follow']

# How far below a folder its runs are looked for.
_DEPTH = 3
# Reading takes at most this share of the time, however many runs there are.
_SHARE = 0.1


def find_runs(folders: Sequence[str]) -> List[str]:
    """The work_dirs of runs in folders.

    Args:
        folders (Sequence[str]): Work_dirs, and folders that hold some.

    Returns:
        list[str]: The work_dirs, each once. A folder in which there is no run
        yet stands for one that may come.
    """
    found: List[str] = []
    for folder in folders:
        folder = osp.normpath(osp.expanduser(folder))
        found += _runs_in(folder, _DEPTH) or [folder]
    return list(dict.fromkeys(found))


def follow(folders: Sequence[str],
           html: Optional[str] = None,
           every: float = 2.,
           once: bool = False) -> List[Row]:
    """Show runs until all have finished or failed.

    Args:
        folders (Sequence[str]): Work_dirs, and folders that hold some. They
            may appear later.
        html (str, optional): Path of a page to write. Defaults to None.
        every (float): Seconds from one look to the next. Where reading takes
            long, they are more. Defaults to 2.
        once (bool): Whether to look only once. Defaults to False.

    Returns:
        list[Row]: How the runs stood at the last look.
    """
    with LiveDisplay('mmw2s watch', html) as display:
        while True:
            began = time.monotonic()
            runs = find_runs(folders)
            rows = display.update([
                Stage(name, None, run)
                for name, run in zip(_names(runs), runs)
            ])
            if once or all(row.state in ENDED for row in rows):
                return rows
            took = time.monotonic() - began
            time.sleep(max(every, took / _SHARE - took))


def _runs_in(folder: str, depth: int) -> List[str]:
    if is_run(folder):
        return [folder]
    try:
        inside = sorted(x.path for x in os.scandir(folder) if x.is_dir())
    except OSError:  # it is not there, or may not be read
        inside = []
    return [
        run for path in inside if depth for run in _runs_in(path, depth - 1)
    ]


def _names(runs: Sequence[str]) -> List[str]:
    """Short names that tell the runs apart."""
    paths = [osp.abspath(run) for run in runs]
    above = osp.dirname(osp.commonpath(paths)) if len(paths) == 1 else \
        osp.commonpath(paths)
    return [osp.relpath(path, above) for path in paths]
