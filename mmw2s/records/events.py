# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The events of a run: one row for each measurement or decision.

The rows are in a JSON-lines file. Each checkpoint has the rows so far, too. If
one of the two is damaged, the decisions are read from the other.
"""
import json
import os.path as osp
from typing import Any, Optional, Tuple

from .checks import (COUNT, LOSS, MAYBE_NUMBER, MAYBE_TEXT, METRICS, NUMBER,
                     TEXT, misfit, shown)
from .files import EVENTS, Rows, find_record, give_up, read_rows, warn

__all__ = ['check_rows', 'earlier_decisions', 'longer']

_FIELDS = dict(
    teacher=dict(
        metrics=METRICS,
        name=TEXT,
        checkpoint=MAYBE_TEXT,
        metric=MAYBE_TEXT,
        score=MAYBE_NUMBER,
        seconds=NUMBER),
    start=dict(type=TEXT, tensors=COUNT, share=NUMBER),
    val=dict(metrics=METRICS, epoch=NUMBER),
    train=dict(student=LOSS, teacher=LOSS),
    stop=dict(
        reason=TEXT,
        epoch=NUMBER,
        metric=MAYBE_TEXT,
        step_ms=MAYBE_NUMBER,
        teacher_ms=MAYBE_NUMBER),
    baseline=dict(metric=TEXT, student=NUMBER, baseline=NUMBER, epoch=NUMBER),
    cosine=dict(values=METRICS),
    kd_loss=dict(values=METRICS),
    entry_stop=dict(entry=TEXT, reason=TEXT, epoch=NUMBER))
# Fields that no decision depends on; they may be missing.
_OPTIONAL = ('name', 'checkpoint', 'metric', 'score', 'seconds', 'epoch',
             'step_ms', 'teacher_ms')


def check_rows(rows: Any, source: str) -> None:
    """Check that rows are complete, in order, and of one run.

    Unknown fields are ignored: a later version may write more fields.

    Args:
        rows (Any): The rows, in order.
        source (str): Where the rows are from, for messages.

    Raises:
        ValueError: If they are not. The message names the source and the line.
    """
    if not isinstance(rows, list):
        raise ValueError(f'{source} should hold a list of rows, but holds '
                         f'{shown(rows)}')
    for number, row in enumerate(rows):
        problem = _problem(row) or _misplaced(row, rows[:number])
        if problem is not None:
            raise ValueError(f'line {number + 1} of {source} is damaged: '
                             f'{problem}')


def _problem(row: Any) -> Optional[str]:
    """The problem of a row on its own, if there is one."""
    if not isinstance(row, dict):
        return f'it should be a dict, but is {shown(row)}'
    event = row.get('event')
    if not isinstance(event, str) or event not in _FIELDS:
        return (f'its event should be one of {", ".join(_FIELDS)}, but is '
                f'{shown(event)}')
    return misfit(row, dict(_FIELDS[event], iter=COUNT), _OPTIONAL)


def _misplaced(row: dict, before: Rows) -> Optional[str]:
    """The problem of a row's place after other rows, if there is one."""
    if (row['event'] == 'teacher') != (not before):
        return ('the first row and no other should be of the event '
                f'"teacher", but it is of {row["event"]!r}')
    if not before:
        return None
    if row['iter'] < before[-1]['iter']:
        return (f'its iter is {row["iter"]}, that of the line before '
                f'{before[-1]["iter"]}')
    if row['event'] != 'baseline' and any(r['event'] == 'stop'
                                          for r in before):
        return 'nothing but "baseline" should come after the event "stop"'
    for earlier in reversed(before):
        if earlier['iter'] < row['iter']:
            break
        if earlier['event'] == row['event'] and \
                earlier.get('entry') == row.get('entry'):
            return (f'it is a second {row["event"]!r} of iteration '
                    f'{row["iter"]}')
    return None


def longer(recorded: Rows, saved: Rows,
           iteration: int) -> Tuple[Rows, Optional[str]]:
    """The longer of two lists of rows: a record's and a checkpoint's.

    Args:
        recorded (list[dict]): Rows of the record up to ``iteration``.
        saved (list[dict]): Rows of the checkpoint.
        iteration (int): The iteration at which the checkpoint was saved.

    Returns:
        Tuple[list[dict], str or None]: The rows, and a problem of the record.
        There is a problem if the two lists contradict each other; then the
        checkpoint's rows are taken, because they belong to the weights.
    """
    for number, (row, saved_row) in enumerate(zip(recorded, saved), 1):
        # Compared as texts, because a training loss may be NaN, and NaN does
        # not equal NaN.
        if _text(row) != _text(saved_row):
            return saved, f'line {number} is not what the checkpoint holds'
    for number in range(len(saved), len(recorded)):
        if recorded[number]['iter'] < iteration:
            return saved, (f'line {number + 1} is of iteration '
                           f'{recorded[number]["iter"]}, but the checkpoint, '
                           f'of iteration {iteration}, does not hold it')
    return max(saved, recorded, key=len), None


def earlier_decisions(work_dir: str,
                      iteration: int,
                      checkpoint: Optional[str] = None,
                      saved: Optional[Rows] = None,
                      name: str = EVENTS) -> Rows:
    """The rows up to ``iteration``, of the record or of the checkpoint.

    Later rows are dropped, because their iterations are trained again. The
    longer of the two lists is taken. A record that is damaged, or is another
    run's, is renamed, with a warning.

    Args:
        work_dir (str): The work_dir of the resumed run.
        iteration (int): The iteration at which it is resumed.
        checkpoint (str, optional): The file from which it is resumed.
        saved (list[dict], optional): The rows in the checkpoint; None if it
            was saved without them.
        name (str): Name of the record. Defaults to ``w2s_record.jsonl``.

    Returns:
        list[dict]: The rows; none if both are lost, which is warned of.
    """
    path = find_record(name, work_dir, checkpoint)
    recorded: Rows = []
    problem = None
    if saved is not None:
        try:
            check_rows(saved, 'the checkpoint\'s rows')
        except ValueError as error:
            warn(f'{error}. They are not used')
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
            warn(f'{path} lacks {len(saved) - len(recorded)} of the '
                 f'{len(saved)} rows that the checkpoint holds: they are '
                 'taken from it')
    elif problem is None and not recorded:
        problem = f'{path} has no row up to iteration {iteration}'
    if problem is None:
        return rows
    problem += give_up(path, work_dir)
    if saved is not None:
        warn(f'{problem}. What was decided before is taken from the '
             f'checkpoint, which holds {len(saved)} rows')
        return saved
    warn(f'{problem}. The checkpoint does not hold what was decided either: '
         'the run distills from here on, as one that has just been given the '
         'hook. If it had been switched off, end this run, put its record '
         f'back as {osp.join(work_dir, name)} and resume again')
    return []


def _text(row: dict) -> str:
    return json.dumps(row, sort_keys=True)
