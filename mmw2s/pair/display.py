# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the terminal shows while the stages run. This is its one place."""
import os.path as osp
from typing import Dict, List, NamedTuple, Optional, Sequence

from mmw2s.records.files import FILENAME, read_record
from mmw2s.records.metric_names import main_metric

__all__ = ['PlainDisplay', 'Shown']


class Shown(NamedTuple):
    """A stage as it is shown.

    Attributes:
        name (str): Its name.
        state (str): 'waiting', 'running', 'done' or 'failed'.
        work_dir (str): Its work_dir.
        expected (float, optional): The seconds that it may take, if somebody
            has estimated them.
    """
    name: str
    state: str
    work_dir: str
    expected: Optional[float] = None


class PlainDisplay:
    """A line where a stage begins and ends, and for each validation."""

    def __init__(self) -> None:
        self._states: Dict[str, str] = {}
        self._told: Dict[str, int] = {}

    def show(self, stages: Sequence[Shown]) -> None:
        """Tell what is new since the last call.

        Args:
            stages (Sequence[Shown]): All stages, in their order.
        """
        for stage in stages:
            before = self._states.get(stage.name)
            self._states[stage.name] = stage.state
            rows = _history(stage.work_dir)
            if before is None:  # what an earlier call has left
                self._told[stage.name] = len(rows)
                if stage.state == 'done':
                    self._say(stage.name, f'done before{_seconds(rows)}')
            if stage.state == 'running' and before != 'running':
                about = '' if stage.expected is None else \
                    f', about {stage.expected:.0f} s'
                self._say(
                    stage.name, f'{"goes on" if rows else "begins"} in '
                    f'{stage.work_dir}{about}')
            # A run that was cut may repeat a validation.
            told = min(self._told[stage.name], len(rows))
            for row in rows[told:]:
                self._say(stage.name, _validation(row))
            self._told[stage.name] = len(rows)
            if before not in (None, stage.state) and \
                    stage.state in ('done', 'failed'):
                self._say(stage.name, f'{stage.state}{_seconds(rows)}')

    def _say(self, name: str, text: str) -> None:
        print(f'{name}: {text}', flush=True)


def _history(work_dir: str) -> List[dict]:
    path = osp.join(work_dir, FILENAME)
    return read_record(path)['history'] if osp.exists(path) else []


def _seconds(rows: Sequence[dict]) -> str:
    return f', {rows[-1]["wall_seconds"]:.0f} s' if rows else ''


def _validation(row: dict) -> str:
    name = main_metric(row['metrics'])
    score = row['metrics'].get(name)
    return (f'epoch {row["epoch"]:.4g}, iteration {row["iter"]}, '
            f'{"no score" if score is None else f"{name} {score:.4g}"}'
            f'{_seconds([row])}')
