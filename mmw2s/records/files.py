# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The files of a run: their names, and how they are read and written.

:mod:`.events` and :mod:`.history` check what they hold.
"""
import glob
import json
import logging
import math
import numbers
import os
import os.path as osp
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.logging import print_log

from mmw2s.utils.files import atomic_write
from .checks import COUNT, shown
from .metric_names import means_no_ground_truth

__all__ = [
    'EVENTS', 'FILENAME', 'FIRST', 'SCHEMA_VERSION', 'Rows', 'events_file',
    'find_record', 'further_records', 'give_up', 'read_events', 'read_record',
    'read_rows', 'scalar_metrics', 'set_aside', 'teacher_and_stop', 'warn',
    'write_record'
]

#: Name of the first WeakTeacherDistillHook of a run, or the only one.
FIRST = 'w2s'
#: What it has measured and decided, see :func:`events_file`.
EVENTS = 'w2s_record.jsonl'
#: The validations and their costs, written by TimeToTargetHook.
FILENAME = 'time_to_target.json'
SCHEMA_VERSION = 1

Rows = List[Dict[str, Any]]


def events_file(name: str) -> str:
    """The file of a WeakTeacherDistillHook of this name."""
    return f'{name}_record.jsonl'


def read_rows(path: str) -> Rows:
    """Read a JSON-lines file.

    A last line that does not end was cut short when the process was killed; it
    is left out.

    Args:
        path (str): Path of the file.

    Returns:
        list[dict]: Its rows; none where there is no such file.

    Raises:
        ValueError: If any other line is not a row of JSON, naming the file
            and the line.
    """
    rows: Rows = []
    if not osp.exists(path):
        return rows
    with open(path, 'rb') as file:
        lines = file.read().split(b'\n')
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line.decode('utf-8'))
            if not isinstance(row, dict):
                raise ValueError('it is no JSON object')
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # nothing, where it was not cut
                break
            raise ValueError(
                f'line {number} of {path} is damaged: {error}') from None
        rows.append(row)
    return rows


def read_events(folder: str, name: str = EVENTS) -> Rows:
    """What all hooks of a run have left, in the order of the run.

    Args:
        folder (str): The run's work_dir.
        name (str): The first hook's file, which may have been renamed, as
            ``w2s_record.1.jsonl``. Defaults to ``w2s_record.jsonl``.

    Returns:
        list[dict]: The rows. Those of a further hook have its name as
        ``hook``.
    """
    rows = read_rows(osp.join(folder, name))
    for hook, path in further_records(folder, name).items():
        rows += [dict(row, hook=hook) for row in read_rows(path)]
    return sorted(rows, key=_iteration)


def further_records(folder: str, name: str = EVENTS) -> Dict[str, str]:
    """The files of all hooks of a run but the first.

    Args:
        folder, name: As in :func:`read_events`.

    Returns:
        dict[str, str]: Name of a hook -> path of its file, in their order.
    """
    before, _, after = name.partition('w2s_record')
    after = f'_record{after}'
    pattern = '*'.join(map(glob.escape, (f'{before}w2s_', after)))
    paths = sorted(glob.glob(osp.join(glob.escape(folder), pattern)))
    return {
        osp.basename(path)[len(before):-len(after)]: path
        for path in paths
    }


def _iteration(row: dict) -> float:
    """Where a row stands in its run; one that does not tell comes first."""
    iteration = row.get('iter')
    return iteration if isinstance(iteration, (int, float)) else -1


def teacher_and_stop(rows: Rows) -> Tuple[Optional[dict], Optional[dict]]:
    """Which teacher a run is judged by, and when the last one was gone.

    Args:
        rows (list[dict]): What all hooks have left, see :func:`read_events`.

    Returns:
        Tuple[dict or None, dict or None]: The row of the teacher whose stop
        came last, of those that have a score if one has; and the row of the
        last stop, None while a teacher is on or waits.
    """
    of_hook: Dict[str, Dict[str, dict]] = {}
    for row in rows:
        if row.get('event') in ('teacher', 'stop'):
            hook = of_hook.setdefault(row.get('hook', ''), {})
            hook[row['event']] = row
    by_end = sorted(
        of_hook.values(),
        key=lambda hook: _iteration(hook.get('stop', dict(iter=math.inf))))
    teachers = [hook['teacher'] for hook in by_end if 'teacher' in hook]
    scored = [row for row in teachers if row.get('score') is not None]
    return ((scored or teachers
             or [None])[-1], by_end[-1].get('stop') if by_end else None)


def read_record(path: str) -> dict:
    """Read a record and check that it is one.

    Args:
        path (str): Path of the file.

    Returns:
        dict: Its content, see :class:`mmw2s.engine.hooks.TimeToTargetHook`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a record, or one of a later version.
    """
    with open(path, encoding='utf-8') as f:
        try:
            content = json.load(f)
        except (ValueError, RecursionError) as error:
            raise ValueError(f'{path} is not valid JSON: {error}') from None
    version = content.get('schema_version') if isinstance(content,
                                                          dict) else None
    if version is None or 'history' not in content:
        raise ValueError(f'{path} was not written by TimeToTargetHook: it '
                         'should hold "schema_version" and "history"')
    if not COUNT.fits(version):
        raise ValueError(f'{path} has the schema version {shown(version)}, '
                         'but it should be a whole number')
    if version > SCHEMA_VERSION:
        raise ValueError(
            f'{path} has schema version {version}, but this mmw2s reads up to '
            f'{SCHEMA_VERSION}: read it with the mmw2s that wrote it')
    return content


def scalar_metrics(metrics: dict) -> Dict[str, Optional[float]]:
    """The scalars among metrics as floats.

    A value that is no score becomes None: NaN and infinity, which JSON does
    not have, and -1, which COCO's evaluation gives without ground truth.
    """
    scalars = {}
    for name, value in metrics.items():
        if isinstance(value, (torch.Tensor, np.ndarray)) and \
                math.prod(value.shape) == 1:
            value = value.item()
        if isinstance(value, numbers.Real):  # NumPy's scalars are, too
            value = float(value)
            scalars[name] = value if math.isfinite(
                value) and not means_no_ground_truth(name, value) else None
    return scalars


def write_record(path: str, content: dict) -> None:
    """Write a record so that a process killed meanwhile leaves the old one."""
    with atomic_write(path) as f:
        json.dump(
            dict(schema_version=SCHEMA_VERSION, **content),
            f,
            indent=1,
            allow_nan=False)


def set_aside(folder: str, names: Optional[Sequence[str]] = None) -> List[str]:
    """Rename a run's records to ``<name>.<n>.<ext>``.

    Args:
        folder (str): The run's work_dir.
        names (Sequence[str], optional): The records. All of one call get the
            same n, the first that is free for all. Defaults to None: all.

    Returns:
        list[str]: The new paths of the records that existed.
    """

    def numbered(name: str, n: int) -> str:
        stem, extension = osp.splitext(name)
        return f'{stem}.{n}{extension}'

    if names is None:
        further = map(osp.basename, further_records(folder).values())
        names = [FILENAME, EVENTS, *further]
    n = 1
    while further_records(folder, numbered(EVENTS, n)) or any(
            osp.exists(osp.join(folder, numbered(x, n)))
            for x in (FILENAME, EVENTS)):
        n += 1
    moved = []
    for name in names:
        if osp.lexists(osp.join(folder, name)):
            moved.append(osp.join(folder, numbered(name, n)))
            os.replace(osp.join(folder, name), moved[-1])
    return moved


def find_record(name: str, work_dir: str, checkpoint: Optional[str]) -> str:
    """Path of a record of a resumed run.

    It is in the work_dir or, if the run has another work_dir now, beside the
    checkpoint.
    """
    path = osp.join(work_dir, name)
    if not osp.lexists(path) and checkpoint:
        return osp.join(osp.dirname(checkpoint), name)
    return path


def give_up(path: str, work_dir: str) -> str:
    """Rename a record that cannot be used, if it lies in the work_dir.

    Returns:
        str: What was done, for the end of a message.
    """
    name = osp.basename(path)
    if path != osp.join(work_dir, name) or not osp.lexists(path):
        return ''
    (moved, ) = set_aside(work_dir, [name])
    return f'. It was renamed to {moved}'


def warn(text: str) -> None:
    """Log a warning. The text has no full stop; it is added here."""
    print_log(f'{text}.', logger='current', level=logging.WARNING)
