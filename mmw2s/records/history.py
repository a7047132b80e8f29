# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The history of a run: its validations and their costs."""
from typing import Any, Dict, Optional

from .checks import (COUNT, FLAG, MAYBE_COUNT, MAYBE_NUMBER, METRICS, NUMBER,
                     SECONDS, Kind, misfit, shown)

__all__ = ['FILENAME', 'check_history']

#: The file that TimeToTargetHook writes.
FILENAME = 'time_to_target.json'

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
