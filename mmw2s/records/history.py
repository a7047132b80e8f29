# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The history of a run: its validations and their costs."""
from typing import Any, Dict, List, Optional, Tuple

from mmengine.dist import is_main_process

from .checks import (COUNT, FLAG, MAYBE_COUNT, MAYBE_NUMBER, METRICS, NUMBER,
                     SECONDS, Kind, misfit, shown)
from .files import (FILENAME, Rows, find_record, give_up, read_record, warn,
                    write_record)

__all__ = ['History', 'check_history', 'earlier_history']

_LIST = Kind('a list', lambda value: isinstance(value, list))
_DICT = Kind('a dict', lambda value: isinstance(value, dict))
_ROW = dict(
    epoch=NUMBER,
    iter=COUNT,
    samples=MAYBE_COUNT,
    train_seconds=SECONDS,
    wall_seconds=SECONDS,
    data_wait=MAYBE_NUMBER,
    metrics=METRICS)


class History:
    """The validations of a run, as ``time_to_target.json`` holds them.

    The file holds

    - ``run``: what a speed claim has to state (seed, devices, versions, ...).
      If the record was lost when the run was resumed, ``recorded_from`` is
      the iteration of that resume.
    - ``history``: for each validation the completed ``epoch`` (a fraction
      where a loop validates inside an epoch), ``iter``, ``samples`` (drawn for
      training, all ranks together; null where that is not known),
      ``train_seconds`` (since the first training epoch began, validations
      excluded), ``wall_seconds`` (since ``before_train``, with validations
      and whatever other hooks do, e.g. scoring a teacher), ``data_wait``
      (share of the training time since the validation before that was spent
      waiting for data; null where there was none) and ``metrics``.
    - ``targets``: for each target the first validation that reached it
      (``reached``), and the first from which the next one reached it too
      (``reached_for_good``), or null. Other targets can be asked for
      afterwards.
    - ``finished``: whether training came to its end.

    Args:
        path (str): Path of the file.
        facts (dict): The content of ``run``.
        rows (list[dict]): The content of ``history`` so far.
    """

    def __init__(self, path: str, facts: dict, rows: Rows) -> None:
        self.path = path
        self.facts = facts
        self.rows = rows

    def lacks(self, iteration: int) -> bool:
        """Whether no validation of an iteration is recorded."""
        return all(row['iter'] != iteration for row in self.rows)

    def write(self, targets: List[dict], finished: bool) -> None:
        """Rewrite the file.

        Args:
            targets (list[dict]): The content of ``targets``.
            finished (bool): Whether training came to its end.
        """
        if is_main_process():
            write_record(
                self.path,
                dict(
                    run=self.facts,
                    history=self.rows,
                    targets=targets,
                    finished=finished))


def check_history(content: Dict[str, Any],
                  source: str,
                  iteration: Optional[int] = None,
                  clocks: Optional[Dict[str, float]] = None) -> None:
    """Check the content of a ``time_to_target.json``.

    Args:
        content (dict): The content.
        source (str): Where it is from, for messages.
        iteration (int, optional): Iteration of the checkpoint that the run is
            resumed from.
        clocks (dict, optional): ``train_seconds`` and ``wall_seconds`` of that
            checkpoint. Earlier validations must have smaller values.

    Raises:
        ValueError: If it is damaged. The message names the source and the row.
    """
    problem = misfit(
        content,
        dict(history=_LIST, run=_DICT, targets=_LIST, finished=FLAG),
        optional=('run', 'targets', 'finished'))
    where = ''
    last = 0
    for number, row in enumerate(content['history'] if not problem else ()):
        where = f'history[{number}] of '
        if not isinstance(row, dict):
            problem = f'it should be a dict, but is {shown(row)}'
        else:
            problem = misfit(row, _ROW, optional=('samples', 'data_wait'))
        if problem is None and number and row['iter'] <= last:
            problem = (f'its iter is {row["iter"]}, that of the row before '
                       f'{last}')
        if problem is None and clocks and row['iter'] < iteration:
            problem = next(
                (f'its {unit} are {row[unit]:g}, those of the checkpoint, '
                 f'which was saved later, {clocks[unit]:g}: it is another '
                 'run\'s'
                 for unit in clocks if row[unit] > clocks[unit]), None)
        if problem is not None:
            break
        last = row['iter']
    if problem is not None:
        raise ValueError(f'{where}{source} is damaged: {problem}')


def earlier_history(
        work_dir: str,
        iteration: int,
        checkpoint: Optional[str] = None,
        clocks: Optional[Dict[str,
                              float]] = None) -> Tuple[Rows, Optional[int]]:
    """The validations up to ``iteration`` of the run that is resumed.

    If the history is lost, or is another run's, the run goes on with a
    warning.

    Args:
        work_dir (str): The work_dir of the resumed run.
        iteration (int): The iteration at which it is resumed.
        checkpoint (str, optional): The file from which it is resumed.
        clocks (dict, optional): ``train_seconds`` and ``wall_seconds`` of
            that checkpoint.

    Returns:
        Tuple[list[dict], int or None]: The rows, and the iteration from which
        on there are rows. None means from the beginning of the run.
    """
    path = find_record(FILENAME, work_dir, checkpoint)
    try:
        content = read_record(path)
        check_history(content, path, iteration, clocks)
    except FileNotFoundError:
        warn(f'{path} does not exist: the resumed run has no record of its '
             'earlier validations. It is looked for in the work_dir, then '
             'beside the checkpoint')
        return [], iteration
    except (OSError, ValueError) as error:
        warn(f'The record of earlier validations is lost: {error}' +
             give_up(path, work_dir))
        return [], iteration
    rows = [row for row in content['history'] if row['iter'] <= iteration]
    return rows, content.get('run', {}).get('recorded_from')
