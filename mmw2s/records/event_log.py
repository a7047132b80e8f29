# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The log of a run: what was measured and decided.

A resumed run reads it, and so decides the same.
"""
import json
import os
import os.path as osp
from typing import Any, Callable, Dict, Iterator, List, Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from mmw2s.utils.files import atomic_write
from .events import earlier_decisions
from .files import (FILENAME, FIRST, Rows, events_file, scalar_metrics,
                    set_aside)
from .history import History, earlier_history

__all__ = ['EventLog', 'RunRecord']


class EventLog:
    """All that one run records: its decisions and its history.

    A hook opens the one that it needs when training begins. A validation is
    written to each that is open.

    =============  =======================  ================================
    attribute      file in the work_dir     holds
    =============  =======================  ================================
    ``decisions``  ``w2s_record.jsonl``     :class:`RunRecord` of each hook,
                                            by its name: what was decided,
                                            and why
    ``history``    ``time_to_target.json``  :class:`~.history.History`: the
                                            validations and their costs
    =============  =======================  ================================

    The first rank reads and writes; all ranks hold the same rows.
    """

    def __init__(self) -> None:
        self.close()

    def close(self) -> None:
        """Record nothing more, until something is opened again."""
        self.decisions: Dict[str, RunRecord] = {}
        self.history: Optional[History] = None
        self._latest: Dict[str, Any] = {}

    def open_decisions(self,
                       work_dir: str,
                       iteration: int = 0,
                       checkpoint: Optional[str] = None,
                       saved: Optional[Rows] = None,
                       name: str = FIRST) -> 'RunRecord':
        """Begin the record of decisions, or continue that of a resumed run.

        Args:
            work_dir (str): The work_dir of the run.
            iteration (int): The iteration at which the run is resumed.
                Defaults to 0: it is a fresh run, and files of an earlier run
                in the work_dir are renamed.
            checkpoint (str, optional): The checkpoint from which it is
                resumed. If the work_dir has no record, the one beside the
                checkpoint is read. Defaults to None.
            saved (list[dict], optional): The rows in the checkpoint. None if
                it was saved without them. Defaults to None.
            name (str): Name of the hook whose record it is. Defaults to
                ``'w2s'``.

        Returns:
            RunRecord: The record, which is also kept in :attr:`decisions`.
        """
        path, rows = osp.join(work_dir, events_file(name)), []
        if iteration == 0:
            self._set_aside(work_dir)
        else:
            rows = _for_all_ranks(earlier_decisions, work_dir, iteration,
                                  checkpoint, saved, events_file(name))
        if is_main_process():
            os.makedirs(work_dir, exist_ok=True)
            if iteration > 0:
                with atomic_write(path) as file:
                    file.writelines(json.dumps(row) + '\n' for row in rows)
        self.decisions[name] = RunRecord(path, rows)
        return self.decisions[name]

    def open_history(self,
                     work_dir: str,
                     iteration: int = 0,
                     checkpoint: Optional[str] = None,
                     clocks: Optional[Dict[str, float]] = None,
                     facts: Optional[dict] = None) -> History:
        """Begin the history of validations, or continue a resumed run's.

        Args:
            work_dir, iteration, checkpoint: As in :meth:`open_decisions`.
            clocks (dict, optional): ``train_seconds`` and ``wall_seconds`` of
                that checkpoint. Defaults to None: it has none.
            facts (dict, optional): Facts about the run, such as devices and
                versions. Defaults to None.

        Returns:
            History: The history, which is also kept as :attr:`history`. A run
            that lost its record has ``recorded_from`` among the facts.
        """
        facts, rows = dict(facts or {}), []
        if iteration == 0:
            self._set_aside(work_dir)
        else:
            rows, since = _for_all_ranks(earlier_history, work_dir, iteration,
                                         checkpoint, clocks)
            if since is not None:
                facts['recorded_from'] = since
        self.history = History(osp.join(work_dir, FILENAME), facts, rows)
        return self.history

    def _set_aside(self, work_dir: str) -> None:
        """Rename the files of an earlier run, whichever is opened first.

        A file that is left would be taken for this run's.
        """
        is_first = not self.decisions and self.history is None
        moved = set_aside(work_dir) if is_first and is_main_process() else []
        if moved:
            print_log(
                'The record of an earlier run in this work_dir was renamed: '
                f'{", ".join(moved)}',
                logger='current')

    def validated(self,
                  iteration: int,
                  epoch: float,
                  metrics: Optional[Dict[str, Any]],
                  cost: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Record the validation of an iteration.

        Several hooks may report the same validation, in any order; it is
        recorded once. A repeated validation of an iteration is not recorded.

        Args:
            iteration (int): Number of complete iterations.
            epoch (float): Number of complete epochs.
            metrics (dict, optional): Result of the evaluator.
            cost (dict, optional): The cost so far, for the history. A hook
                that does not know it gives None, the default.

        Returns:
            dict: The validation: ``iter``, ``epoch`` and ``metrics``, of
            which only scalars are kept.
        """
        if self._latest.get('iter') != iteration:
            self._latest = dict(
                iter=iteration,
                epoch=epoch,
                metrics=scalar_metrics(metrics or {}))
        metrics = self._latest['metrics']
        for record in self.decisions.values():
            if record.lacks(iteration):
                record.append('val', iteration, epoch=epoch, metrics=metrics)
        if cost is not None and self.history is not None and \
                self.history.lacks(iteration):
            self.history.rows.append(
                dict(
                    epoch=round(epoch, 6),
                    iter=iteration,
                    **cost,
                    metrics=metrics))
        return self._latest

    def lacks(self, iteration: int) -> bool:
        """Whether a validation of this iteration would be recorded."""
        opened = [*self.decisions.values()]
        if self.history is not None:
            opened.append(self.history)
        return any(one.lacks(iteration) for one in opened)


class RunRecord:
    """The decisions of a run and their reasons, as JSON lines.

    Each row has an ``event`` and an ``iter``, the number of complete
    iterations.

    ==========  ========================================================
    event       further fields
    ==========  ========================================================
    teacher     name, checkpoint, weights_hash, config_hash, metric,
                score, metrics, seconds (of scoring)
    start       type, tensors, share: what the student took over
    val         epoch, metrics
    train       student, teacher: task losses on one training batch
    cosine      values: by entry, or 'all', the cosine of the gradients
                of task and distillation in one step
    kd_loss     values: likewise the distillation losses
    entry_stop  entry, epoch, reason: an entry that has ended alone
    stop        epoch, reason, student, teacher, metric, step_ms,
                teacher_ms
    baseline    metric, student, baseline, epoch, baseline_epoch, path:
                the first score after a start, and the baseline's. It
                may come after the stop.
    ==========  ========================================================

    A checkpoint holds the rows so far, too. But MMEngine saves it before the
    validation of the same iteration; what that validation decides is only in
    this file.

    Args:
        path (str): Path of the file.
        rows (list[dict]): The rows that it holds already.
    """

    def __init__(self, path: str, rows: Rows) -> None:
        self.path = path
        self.rows = rows
        self._read = 0

    def append(self, event: str, iteration: int,
               **fields: Any) -> Dict[str, Any]:
        """Add a row and write it to disk at once.

        Args:
            event (str): Kind of the row.
            iteration (int): Number of complete iterations.
            **fields: Further fields, values that JSON has.

        Returns:
            dict: The row as it will be read from the file.
        """
        # Read back, so that checkpoints hold plain values that load anywhere.
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

    def unread(self) -> Iterator[Dict[str, Any]]:
        """The rows that this method has not given yet.

        For a record that was continued these are all of its rows at first.
        """
        while self._read < len(self.rows):
            self._read += 1
            yield self.rows[self._read - 1]

    def lacks(self, iteration: int) -> bool:
        """Whether a validation of this iteration would be recorded.

        Not if there is one already, and not after the stop.
        """
        return not self.of('stop') and all(row['iter'] != iteration
                                           for row in self.of('val'))


def _for_all_ranks(read: Callable, *args: Any) -> Any:
    """Read on the first rank, and give the result to all ranks.

    All ranks must decide alike.
    """
    box = [read(*args) if is_main_process() else None]
    broadcast_object_list(box)
    return box[0]
