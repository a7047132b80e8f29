# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The scalars that MMEngine's visualizer wrote, line by line."""
import glob
import json
import os.path as osp
from typing import Dict, List, NamedTuple

import numpy as np

__all__ = ['Line', 'read_scalars']

SCALARS = 'scalars.json'
EVENT_FILES = 'events.out.tfevents.*'


class Line(NamedTuple):
    """What was logged at once.

    Attributes:
        step (int): Where in the run, as the logger counts.
        scalars (dict[str, float]): Values by name.
    """
    step: int
    scalars: Dict[str, float]

    @property
    def is_training(self) -> bool:
        """Whether it is of training. MMEngine adds the iteration to these
        lines, and to no others."""
        return 'iter' in self.scalars


def read_scalars(folder: str) -> List[Line]:
    """Read ``scalars.json`` or else TensorBoard's event files.

    Args:
        folder (str): A ``vis_data``.

    Returns:
        list[Line]: In order; none where there is neither.

    Raises:
        ValueError: If there are event files alone, and TensorBoard is not
            installed.
    """
    path = osp.join(folder, SCALARS)
    lines = _read_json(path) if osp.isfile(path) else []
    if not lines and glob.glob(osp.join(folder, EVENT_FILES)):
        lines = _read_events(folder)
    return lines


def _read_json(path: str) -> List[Line]:
    lines = []
    with open(path, encoding='utf-8', errors='replace') as f:
        for text in f:
            try:
                row = json.loads(text)
                step = int(row.pop('step'))
            except (AttributeError, KeyError, TypeError, ValueError):
                continue  # cut short by a kill
            scalars = {
                k: float(v)
                for k, v in row.items()
                if isinstance(v, (int, float)) and not isinstance(v, bool)
            }
            lines.append(Line(step, scalars))
    return lines


def _read_events(folder: str) -> List[Line]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import \
            EventAccumulator
    except ImportError:
        raise ValueError(
            f'{folder} holds event files of TensorBoard alone, which it takes '
            'to read them: pip install tensorboard. (A visualizer with '
            'LocalVisBackend writes scalars.json, which needs nothing)'
        ) from None
    accumulator = EventAccumulator(folder, size_guidance=dict(scalars=0))
    accumulator.Reload()
    events = [(event.wall_time, event.step, tag, _shortest(event.value))
              for tag in accumulator.Tags()['scalars']
              for event in accumulator.Scalars(tag)]
    # MMEngine writes a line scalar by scalar. One of training ends with the
    # iteration (and the memory), one of validation has a step of its own or
    # follows such an end.
    lines: List[Line] = []
    ended = True
    for _, step, tag, value in sorted(events, key=lambda event: event[0]):
        if tag == 'memory':
            continue
        if ended or step != lines[-1].step or tag in lines[-1].scalars:
            lines.append(Line(step, {}))
        lines[-1].scalars[tag] = value
        ended = tag == 'iter'
    return lines


def _shortest(value: float) -> float:
    """The number that was meant: event files hold 32 bits, in which 0.433 is
    less than 0.433."""
    return float(str(np.float32(value)))
