# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What is left of the records of a run that is resumed.

They lie in its work_dir or, if that is another one now, beside the
checkpoint. What is beyond the loaded iteration belongs to a future that is
trained anew, and is dropped. A record that is damaged, or is another run's,
is set aside with a warning; it stops nobody.
"""
import logging
import os.path as osp
from typing import Dict, Optional, Tuple

from mmengine.logging import print_log

from .events import check_rows, longer
from .files import EVENTS, FILENAME, Rows, read_record, read_rows, set_aside
from .history import check_history

__all__ = ['earlier_decisions', 'earlier_history']


def earlier_decisions(work_dir: str,
                      iteration: int,
                      checkpoint: Optional[str] = None,
                      saved: Optional[Rows] = None) -> Rows:
    """The rows up to ``iteration``, of the record or of the checkpoint.

    The longer of the two is taken.

    Args:
        work_dir (str): Of the resumed run.
        iteration (int): At which it is resumed.
        checkpoint (str, optional): The file from which it is resumed.
        saved (list[dict], optional): The rows in the checkpoint; None if it
            was saved without them.
    """
    path = _find(EVENTS, work_dir, checkpoint)
    recorded: Rows = []
    problem = None
    if saved is not None:
        try:
            check_rows(saved, 'the checkpoint\'s rows')
        except ValueError as error:
            _warn(f'{error}. They are not used')
            saved = None
    if osp.lexists(path):
        try:
            recorded = read_rows(path)
            check_rows(recorded, path)
        except (OSError, ValueError) as error:
            recorded, problem = [], str(error)
    else:
        problem = f'{path} does not exist'
    recorded = [row for row in recorded if row['iter'] <= iteration]
    rows = recorded
    if saved is not None and problem is None:
        rows, differs = longer(recorded, saved, iteration)
        if differs is not None:
            problem = f'{path} is another run\'s or was changed: {differs}'
        elif len(recorded) < len(saved):
            _warn(f'{path} lacks {len(saved) - len(recorded)} of the '
                  f'{len(saved)} rows that the checkpoint holds: they are '
                  'taken from it')
    elif problem is None and not recorded:
        problem = f'{path} has no row up to iteration {iteration}'
    if problem is None:
        return rows
    problem += _set_aside_if_own(path, work_dir)
    if saved is not None:
        _warn(f'{problem}. What was decided before is taken from the '
              f'checkpoint, which holds {len(saved)} rows')
        return saved
    _warn(f'{problem}. The checkpoint does not hold what was decided either: '
          'the run distils from here on, as one that has just been given the '
          'hook. If it had been switched off, end this run, put its record '
          f'back as {osp.join(work_dir, EVENTS)} and resume again')
    return []


def earlier_history(
        work_dir: str,
        iteration: int,
        checkpoint: Optional[str] = None,
        clocks: Optional[Dict[str,
                              float]] = None) -> Tuple[Rows, Optional[int]]:
    """The validations up to ``iteration``.

    Args:
        work_dir (str): Of the resumed run.
        iteration (int): At which it is resumed.
        checkpoint (str, optional): The file from which it is resumed.
        clocks (dict, optional): ``train_seconds`` and ``wall_seconds`` of
            that checkpoint.

    Returns:
        Tuple[list[dict], int or None]: The rows, and the iteration from which
        on there are rows, None where that is the run's beginning.
    """
    path = _find(FILENAME, work_dir, checkpoint)
    try:
        content = read_record(path)
        check_history(content, path, iteration, clocks)
    except FileNotFoundError:
        _warn(f'{path} does not exist: the resumed run has no record of its '
              'earlier validations. It is looked for in the work_dir, then '
              'beside the checkpoint')
        return [], iteration
    except (OSError, ValueError) as error:
        _warn(f'The record of earlier validations is lost: {error}' +
              _set_aside_if_own(path, work_dir))
        return [], iteration
    rows = [row for row in content['history'] if row['iter'] <= iteration]
    return rows, content.get('run', {}).get('recorded_from')


def _find(name: str, work_dir: str, checkpoint: Optional[str]) -> str:
    path = osp.join(work_dir, name)
    if not osp.lexists(path) and checkpoint:
        return osp.join(osp.dirname(checkpoint), name)
    return path


def _set_aside_if_own(path: str, work_dir: str) -> str:
    """Rename a record of this work_dir, and say so; others are left alone."""
    name = osp.basename(path)
    if path != osp.join(work_dir, name) or not osp.lexists(path):
        return ''
    (moved, ) = set_aside(work_dir, [name])
    return f'. It was renamed to {moved}'


def _warn(text: str) -> None:
    print_log(f'{text}.', logger='current', level=logging.WARNING)
