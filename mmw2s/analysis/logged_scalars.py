# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Read the scalars that MMEngine's visualizer has logged."""
import glob
import json
import os.path as osp
from typing import Dict, List, NamedTuple, Optional

import numpy as np

__all__ = ['Line', 'read_scalars']

SCALARS = 'scalars.json'
EVENT_FILES = 'events.out.tfevents.*'


class Line(NamedTuple):
    """Scalars that were logged together.

    Attributes:
        step (int): The logger's step: an iteration, or an epoch in validation.
        scalars (dict[str, float]): Name -> value.
    """
    step: int
    scalars: Dict[str, float]

    @property
    def is_training(self) -> bool:
        """Whether the line was logged in training.

        MMEngine adds the iteration to these lines and to no others.
        """
        return 'iter' in self.scalars


def read_scalars(folder: str, last_bytes: Optional[int] = None) -> List[Line]:
    """Read ``scalars.json``, or TensorBoard's event files if there is none.

    Args:
        folder (str): A ``vis_data`` folder.
        last_bytes (int, optional): Read only the lines in so many bytes at the
            end of ``scalars.json``. Defaults to None: all.

    Returns:
        list[Line]: The lines in order; empty if there is no file.

    Raises:
        ValueError: If there are only event files, and TensorBoard is not
            installed.
    """
    path = osp.join(folder, SCALARS)
    lines = _read_json(path, last_bytes) if osp.isfile(path) else []
    if not lines and glob.glob(osp.join(folder, EVENT_FILES)):
        lines = _read_events(folder)
    return lines


def _read_json(path: str, last_bytes: Optional[int]) -> List[Line]:
    lines = []
    with open(path, 'rb') as f:
        if last_bytes is not None:
            f.seek(max(osp.getsize(path) - last_bytes, 0))
        for text in f:
            try:
                row = json.loads(text.decode('utf-8', 'replace'))
                step = int(row.pop('step'))
            except (AttributeError, KeyError, TypeError, ValueError):
                continue  # cut off, by a kill or by `last_bytes`
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
    # An event has one scalar, so the lines have to be found. In training,
    # MMEngine logs the iteration last (but for the memory). In validation, a
    # line has a new step or follows the end of a training line.
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
    """The shortest number that gives this float32.

    Event files have float32, where 0.433 becomes 0.43299999833. Then a target
    of 0.433 would seem not to be reached.
    """
    return float(str(np.float32(value)))
