# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What was measured and decided, so that a resumed run decides the same."""
import json
import os
import os.path as osp
from typing import Any, Dict, List, Optional

from mmengine.dist import broadcast_object_list, is_main_process

from mmw2s.analysis.record import EVENTS, read_rows, set_aside

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

    ``iter`` counts the iterations that were complete. A checkpoint of MMEngine
    is saved before the validation that belongs to it, so what validation
    decides cannot stand in the checkpoint. The first rank writes, all ranks
    hold the same rows.

    Args:
        path (str): The file.
        rows (list[dict]): The rows it holds already.
    """

    def __init__(self, path: str, rows: List[Dict[str, Any]]) -> None:
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
               checkpoint: Optional[str] = None) -> 'RunRecord':
        """Take up the record of the run that is resumed.

        Rows beyond ``iteration`` belong to a future that is trained anew, and
        are dropped.

        Args:
            work_dir (str): Of the resumed run.
            iteration (int): At which it is resumed.
            checkpoint (str, optional): From which it is resumed, beside which
                the record is looked for if the work_dir has none.
        """
        path = osp.join(work_dir, EVENTS)
        rows: List[Dict[str, Any]] = []
        if is_main_process():
            source = path
            if not osp.exists(path) and checkpoint:
                source = osp.join(osp.dirname(checkpoint), EVENTS)
            rows = [
                row for row in read_rows(source) if row['iter'] <= iteration
            ]
            os.makedirs(work_dir, exist_ok=True)
            with open(f'{path}.tmp', 'w') as file:
                file.writelines(json.dumps(row) + '\n' for row in rows)
            os.replace(f'{path}.tmp', path)
        shared = [rows]
        broadcast_object_list(shared)
        return cls(path, shared[0])

    def append(self, event: str, iteration: int,
               **fields: Any) -> Dict[str, Any]:
        """Write a row, at once and for good, and return it."""
        row = dict(event=event, iter=iteration, **fields)
        self.rows.append(row)
        if is_main_process():
            with open(self.path, 'a') as file:
                file.write(json.dumps(row) + '\n')
                file.flush()
                os.fsync(file.fileno())
        return row

    def of(self, event: str) -> List[Dict[str, Any]]:
        """The rows of one kind of event."""
        return [row for row in self.rows if row['event'] == event]
