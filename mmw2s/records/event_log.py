# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What was measured and decided, so that a resumed run decides the same."""
import json
import os
import os.path as osp
from typing import Any, Callable, Dict, Iterator, List, Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from mmw2s.utils.files import atomic_write
from .events import earlier_decisions
from .files import EVENTS, FILENAME, Rows, scalar_metrics, set_aside
from .history import History, earlier_history

__all__ = ['EventLog', 'RunRecord']


class EventLog:
    """All that one run records: its decisions and its history.

    Whoever wants one of the two opens it when training begins. A validation
    is told to the log once, and goes to each of them that is open.

    ============  ======================  ==================================
    attribute     file in the work_dir    holds
    ============  ======================  ==================================
    `decisions`   ``w2s_record.jsonl``    :class:`RunRecord`: what was
                                          decided, and on what
    `history`     ``time_to_target.json`` :class:`~.history.History`: the
                                          validations and what they had cost
    ============  ======================  ==================================

    The first rank reads and writes; all ranks hold the same rows.
    """

    def __init__(self) -> None:
        self.close()

    def close(self) -> None:
        """Record nothing more, until something is opened again."""
        self.decisions: Optional[RunRecord] = None
        self.history: Optional[History] = None
        self._latest: Dict[str, Any] = {}

    def open_decisions(self,
                       work_dir: str,
                       iteration: int = 0,
                       checkpoint: Optional[str] = None,
                       saved: Optional[Rows] = None) -> 'RunRecord':
        """Begin the record of decisions, or take it up where it was left.

        Args:
            work_dir (str): Of the run.
            iteration (int): At which it is resumed. Defaults to 0: it is not,
                and the files of an earlier run get other names.
            checkpoint (str, optional): From which it is resumed, beside which
                the record is looked for if the work_dir has none.
            saved (list[dict], optional): The rows in the checkpoint; None if
                it was saved without them.
        """
        path, rows = osp.join(work_dir, EVENTS), []
        if iteration == 0:
            self._set_aside(work_dir)
        else:
            rows = _for_all_ranks(earlier_decisions, work_dir, iteration,
                                  checkpoint, saved)
        if is_main_process():
            os.makedirs(work_dir, exist_ok=True)
            if iteration > 0:
                with atomic_write(path) as file:
                    file.writelines(json.dumps(row) + '\n' for row in rows)
        self.decisions = RunRecord(path, rows)
        return self.decisions

    def open_history(self,
                     work_dir: str,
                     iteration: int = 0,
                     checkpoint: Optional[str] = None,
                     clocks: Optional[Dict[str, float]] = None,
                     facts: Optional[dict] = None) -> History:
        """Begin the history of validations, or take it up where it was left.

        Args:
            work_dir (str): Of the run.
            iteration (int): At which it is resumed. Defaults to 0: it is not,
                and the files of an earlier run get other names.
            checkpoint (str, optional): From which it is resumed, beside which
                the history is looked for if the work_dir has none.
            clocks (dict, optional): ``train_seconds`` and ``wall_seconds`` of
                that checkpoint.
            facts (dict, optional): What has to be known about the run.
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
        """Give both files of an earlier run other names, whichever is opened:
        what is left would be taken for this run's."""
        is_first = self.decisions is None and self.history is None
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
        """Record a validation, the first of an iteration.

        Several may tell of the same one, in any order.

        Args:
            iteration (int): Iterations that were complete.
            epoch (float): Epochs that were complete.
            metrics (dict, optional): What the evaluator gave.
            cost (dict, optional): What the run had spent, for the history;
                who does not know it leaves that to others.

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
        if self.decisions is not None and self.decisions.lacks(iteration):
            self.decisions.append(
                'val', iteration, epoch=epoch, metrics=metrics)
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
        """Whether a validation of an iteration would be recorded."""
        return any(
            opened is not None and opened.lacks(iteration)
            for opened in (self.decisions, self.history))


class RunRecord:
    """What was decided, and on what: JSON lines, with an event and an iter.

    ========  ==========================================================
    event     further fields
    ========  ==========================================================
    teacher   name, checkpoint, weights_hash, config_hash, metric, score,
              metrics, seconds (of scoring)
    start     type, tensors, share: what the student took over
    val       epoch, metrics
    train     student, teacher: task losses on one training batch
    stop      epoch, reason, student, teacher, metric, step_ms, teacher_ms
    ========  ==========================================================

    ``iter`` counts the iterations that were complete. A checkpoint holds the
    rows so far, but MMEngine saves it before the validation that belongs to
    it; what that validation decides stands here alone.

    Args:
        path (str): The file.
        rows (list[dict]): The rows it holds already.
    """

    def __init__(self, path: str, rows: Rows) -> None:
        self.path = path
        self.rows = rows
        self._read = 0

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

    def unread(self) -> Iterator[Dict[str, Any]]:
        """The rows that were not asked for yet: of a record that was taken
        up all of them, then those that come."""
        while self._read < len(self.rows):
            self._read += 1
            yield self.rows[self._read - 1]

    def lacks(self, iteration: int) -> bool:
        """Whether nothing is stopped and no such validation recorded."""
        return not self.of('stop') and all(row['iter'] != iteration
                                           for row in self.of('val'))


def _for_all_ranks(read: Callable, *args: Any) -> Any:
    """What the first rank reads, on all ranks: they must decide alike."""
    box = [read(*args) if is_main_process() else None]
    broadcast_object_list(box)
    return box[0]
