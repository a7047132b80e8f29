# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the files in a work_dir say about a run, whoever trains it."""
import glob
import os
import os.path as osp
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from mmw2s.analysis.logged_scalars import Line, read_scalars
from mmw2s.analysis.mmengine_logs import LoggedRun, log_folders, read_logs
from mmw2s.records.files import (EVENTS, FILENAME, Rows, read_events,
                                 read_record)
from mmw2s.records.history import check_history
from mmw2s.records.lock import LOCK

__all__ = ['RunFiles', 'Stamp', 'is_run', 'stamps']

# What is read of the end of a log.
_TAIL = 1 << 16


class Stamp(NamedTuple):
    """A file, and what tells whether it has changed."""
    path: str
    modified: float
    size: int


class RunFiles(NamedTuple):
    """What a run has written so far.

    Attributes:
        started (str, optional): The log folder of its latest start.
        lines (list[Line]): The latest training lines of its log.
        iteration (int): Complete iterations, as far as was logged.
        history (list[dict]): Its validations, as in ``time_to_target.json``.
        facts (dict): Facts about the run.
        targets (list[dict]): The targets of its config.
        events (list[dict]): Rows of ``w2s_record.jsonl``, and of those of
            further teachers.
        finished (bool): Whether it is known to have come to its end.
        problems (list[str]): What could not be read.
    """
    started: Optional[str]
    lines: List[Line]
    iteration: int
    history: Rows
    facts: dict
    targets: Rows
    events: Rows
    finished: bool
    problems: List[str]

    @classmethod
    def read(cls, work_dir: str) -> 'RunFiles':
        """Read what there is; what is damaged is told in ``problems``."""
        problems: List[str] = []

        def attempt(read: Callable, path: str, otherwise: Any) -> Any:
            try:
                return read(path)
            except (OSError, ValueError) as error:
                problems.append(str(error))
                return otherwise

        record = osp.join(work_dir, FILENAME)
        folder, lines = attempt(_latest_lines, work_dir, (None, []))
        iteration = int(lines[-1].scalars['iter']) if lines else 0
        content = attempt(_history, record, None) \
            if osp.isfile(record) else None
        logged = None
        if content is None:
            logged = attempt(read_logs, work_dir, None)
            content = _as_record(logged)
        elif folder and osp.getmtime(record) > _modified(folder):
            # It has just validated; or it was started again, and the lines
            # are those of before.
            iteration = 0
        history = content['history']
        return cls(
            started=folder and osp.basename(osp.dirname(folder)),
            lines=lines,
            iteration=max([iteration] + [row['iter'] for row in history[-1:]]),
            history=history,
            facts=content.get('run', {}),
            targets=content.get('targets', []),
            events=attempt(read_events, work_dir, [])
            if logged is None or logged.distills else [],
            finished=content.get('finished', False),
            problems=problems)


def is_run(folder: str) -> bool:
    """Whether a folder is the work_dir of a run."""
    return any(
        osp.exists(osp.join(folder, name))
        for name in (FILENAME, EVENTS)) or bool(log_folders(folder))


def stamps(work_dir: str) -> Tuple[Stamp, ...]:
    """The files that a run writes, its checkpoints included."""
    paths = _inside(work_dir) + [osp.join(work_dir, LOCK)]
    for folder in log_folders(work_dir):
        paths += _inside(folder) + _inside(osp.dirname(folder))
    found = []
    for path in paths:
        try:
            stat = os.stat(path)
        except OSError:  # deleted meanwhile, as older checkpoints are
            continue
        if not osp.isdir(path):
            found.append(Stamp(path, stat.st_mtime, stat.st_size))
    return tuple(sorted(found))


def _inside(folder: str) -> List[str]:
    return glob.glob(osp.join(glob.escape(folder), '*'))


def _latest_lines(work_dir: str) -> Tuple[Optional[str], List[Line]]:
    """The log folder of the latest training, and the end of its log.

    A folder without a line of training is that of a test, or of a run that has
    not got that far.
    """
    for folder in reversed(log_folders(work_dir)):
        lines = [x for x in read_scalars(folder, _TAIL) if x.is_training]
        if lines:
            return folder, lines
    return None, []


def _modified(folder: str) -> float:
    return max(map(osp.getmtime, _inside(folder)), default=0.)


def _history(path: str) -> dict:
    content = read_record(path)
    check_history(content, path)
    return content


def _as_record(logged: Optional[LoggedRun]) -> dict:
    """What MMEngine's own logs say, in the form of a record."""
    if logged is None:
        return dict(history=[])
    ends = 'max_iters' in logged.facts or 'max_epochs' in logged.facts
    return dict(
        history=logged.history,
        run=logged.facts,
        finished=logged.finished and ends)
