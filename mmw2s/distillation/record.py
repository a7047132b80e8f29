# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What was measured and decided, so that a resumed run decides the same."""
import json
import logging
import os
import os.path as osp
from typing import Any, Dict, List, Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from mmw2s.analysis.record import set_aside
from mmw2s.records.events import EVENTS, Rows, check_rows, longer, read_rows
from mmw2s.utils.files import atomic_write

__all__ = ['RunRecord']


class RunRecord:
    """A JSON-lines file in the work_dir; every row has an event and an iter.

    ========  ==========================================================
    event     further fields
    ========  ==========================================================
    teacher   name, checkpoint, weights_hash, config_hash, metric, score,
              metrics, seconds (of scoring)
    val       epoch, metrics
    train     student, teacher: task losses on one training batch
    stop      epoch, reason, student, teacher, metric, step_ms, teacher_ms
    ========  ==========================================================

    ``iter`` counts the iterations that were complete. A checkpoint holds the
    rows so far, but MMEngine saves it before the validation that belongs to
    it; what that validation decides stands here alone. The first rank writes,
    all ranks hold the same rows.

    Args:
        path (str): The file.
        rows (list[dict]): The rows it holds already.
    """

    def __init__(self, path: str, rows: Rows) -> None:
        self.path = path
        self.rows = rows

    @classmethod
    def start(cls, work_dir: str) -> 'RunRecord':
        """Begin a new record. An earlier run's is kept under another name."""
        path = osp.join(work_dir, EVENTS)
        if is_main_process():
            os.makedirs(work_dir, exist_ok=True)
            set_aside(work_dir, [EVENTS])
        return cls(path, [])

    @classmethod
    def resume(cls,
               work_dir: str,
               iteration: int,
               checkpoint: Optional[str] = None,
               saved: Optional[Rows] = None) -> 'RunRecord':
        """Take up the record of the run that is resumed.

        Rows beyond ``iteration`` belong to a future that is trained anew, and
        are dropped. Of the record and the checkpoint's rows the longer is
        taken. A record that is damaged, or is another run's, is set aside
        with a warning.

        Args:
            work_dir (str): Of the resumed run.
            iteration (int): At which it is resumed.
            checkpoint (str, optional): From which it is resumed, beside which
                the record is looked for if the work_dir has none.
            saved (list[dict], optional): The rows in the checkpoint; None if
                it was saved without them.
        """
        path = osp.join(work_dir, EVENTS)
        rows: Rows = []
        if is_main_process():
            rows = _rows_so_far(work_dir, iteration, checkpoint, saved)
            os.makedirs(work_dir, exist_ok=True)
            with atomic_write(path) as file:
                file.writelines(json.dumps(row) + '\n' for row in rows)
        shared = [rows]
        broadcast_object_list(shared)
        return cls(path, shared[0])

    def append(self, event: str, iteration: int,
               **fields: Any) -> Dict[str, Any]:
        """Write a row, at once and for good, and return it."""
        # As it will be read: plain values, which load anywhere.
        line = json.dumps(dict(event=event, iter=iteration, **fields))
        row = json.loads(line)
        self.rows.append(row)
        if is_main_process():
            with open(self.path, 'a', encoding='utf-8') as file:
                file.write(line + '\n')
                file.flush()
                os.fsync(file.fileno())
        return row

    def of(self, event: str) -> List[Dict[str, Any]]:
        """The rows of one kind of event."""
        return [row for row in self.rows if row['event'] == event]


def _rows_so_far(work_dir: str, iteration: int, checkpoint: Optional[str],
                 saved: Optional[Rows]) -> Rows:
    """The rows up to ``iteration``, from wherever they are whole."""
    path = osp.join(work_dir, EVENTS)
    if not osp.lexists(path) and checkpoint:
        path = osp.join(osp.dirname(checkpoint), EVENTS)
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
    if path == osp.join(work_dir, EVENTS) and osp.lexists(path):
        (moved, ) = set_aside(work_dir, [EVENTS])
        problem += f'. It was renamed to {moved}'
    if saved is not None:
        _warn(f'{problem}. What was decided before is taken from the '
              f'checkpoint, which holds {len(saved)} rows')
        return saved
    _warn(f'{problem}. The checkpoint does not hold what was decided either: '
          'the run distils from here on, as one that has just been given the '
          'hook. If it had been switched off, end this run, put its record '
          f'back as {osp.join(work_dir, EVENTS)} and resume again')
    return []


def _warn(text: str) -> None:
    print_log(f'{text}.', logger='current', level=logging.WARNING)
