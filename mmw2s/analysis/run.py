# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""One training run, read back from its work_dir."""
import os.path as osp
from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Sequence, Set

from mmw2s.records.history import check_history
from .record import EVENTS, FILENAME, read_record, read_rows
from .targets import first_at_target

__all__ = ['Run', 'TIME_UNITS', 'UNITS', 'cost', 'time_unit']

#: Units in which the cost of reaching a target is counted.
UNITS = {
    'epoch': 'epochs',
    'iter': 'iterations',
    'train_seconds': 'training time',
    'wall_seconds': 'wall clock',
    'device_hours': 'device hours',
}
#: Those in which the training of another model can be added.
TIME_UNITS = ('train_seconds', 'wall_seconds', 'device_hours')


@dataclass
class Run:
    """A run as recorded by ``TimeToTargetHook`` and the distillation hook.

    Args:
        name (str): What tables and figures call it.
        history (list[dict]): Rows of ``time_to_target.json``.
        facts (dict): Seed, devices, versions etc. of the run.
        targets (list[dict]): Targets the run itself was given.
        finished (bool): Whether training came to its end.
        events (list[dict]): Rows of ``w2s_record.jsonl``, if there are any.
        path (str, optional): The file that it was read from.
    """
    name: str
    history: List[dict]
    facts: dict = field(default_factory=dict)
    targets: List[dict] = field(default_factory=list)
    finished: bool = True
    events: List[dict] = field(default_factory=list)
    path: Optional[str] = None

    @classmethod
    def load(cls, path: str, name: Optional[str] = None) -> 'Run':
        """Read a run.

        Args:
            path (str): Its work_dir, or a ``time_to_target*.json`` file. With
                one that was set aside belong the events of the same number.
            name (str, optional): Defaults to the name of the folder.

        Raises:
            FileNotFoundError: If there is no record of the run.
            ValueError: If the record cannot be read or has no validation.
        """
        path = osp.expanduser(path)
        is_file = path.endswith('.json')
        folder = osp.dirname(path) or '.' if is_file else path
        record = path if is_file else osp.join(path, FILENAME)
        if not osp.isfile(record):
            what = 'does not exist' if not osp.isdir(folder) else \
                f'holds no {osp.basename(record)}'
            raise FileNotFoundError(
                f'{folder} {what}: expected is the work_dir of a run with '
                "custom_hooks=[dict(type='mmw2s.TimeToTargetHook')] in its "
                'config. Add the hook (it changes nothing in the training) '
                'and run again')
        content = read_record(record)
        check_history(content, record)
        events = osp.basename(record).replace(*(osp.splitext(name)[0]
                                                for name in (FILENAME,
                                                             EVENTS))) + 'l'
        if not content['history']:
            raise ValueError(f'{record} has no validation yet: let the run '
                             'go on until its first one')
        return cls(
            name=name or osp.basename(osp.abspath(folder)),
            history=content['history'],
            facts=content.get('run', {}),
            targets=content.get('targets', []),
            finished=content.get('finished', False),
            events=read_rows(osp.join(folder, events)),
            path=record)

    @property
    def world_size(self) -> int:
        """Number of processes, one a device; 1 where it is not known."""
        return self.facts.get('world_size') or 1

    @property
    def stop(self) -> Optional[dict]:
        """The event of the distillation's switch-off, None without one."""
        return self._last_event('stop')

    @property
    def had_teacher(self) -> bool:
        """Whether the run's record tells of a teacher, or of its end."""
        return bool(self.teacher or self.stop)

    @property
    def teacher(self) -> Optional[dict]:
        """The event of the teacher's scoring, None without one."""
        return self._last_event('teacher')

    def _last_event(self, kind: str) -> Optional[dict]:
        found = [e for e in self.events if e.get('event') == kind]
        return found[-1] if found else None

    def metrics(self) -> Set[str]:
        """Names of the metrics that its validations gave."""
        return {name for row in self.history for name in row['metrics']}

    def rows(self, metric: str) -> List[dict]:
        """The rows that have the metric."""
        return [
            r for r in self.history if r['metrics'].get(metric) is not None
        ]

    def best(self, metric: str, rule: str) -> Optional[dict]:
        """The row with the best value of the metric, the first of equals."""
        better = max if rule == 'greater' else min
        return better(
            self.rows(metric),
            key=lambda row: row['metrics'][metric],
            default=None)

    def first_at(self, metric: str, value: float, rule: str) -> Optional[dict]:
        """The first validation that reached the value, see
        :func:`~mmw2s.analysis.targets.first_at_target`."""
        return first_at_target(self.history, metric, value, rule)


def cost(run: Run, row: Dict, unit: str) -> float:
    """What the run had spent at a row of its history.

    Args:
        run (Run): The run.
        row (dict): One of its rows.
        unit (str): A key of :data:`UNITS`. Device hours are the wall clock
            times the number of devices.
    """
    if unit == 'device_hours':
        return row['wall_seconds'] * run.world_size / 3600
    return row[unit]


class TimeUnit(NamedTuple):
    """A unit of time and its length in seconds."""
    name: str
    seconds: float


def time_unit(runs: Sequence[Run]) -> TimeUnit:
    """One unit of time fit for all values of a report on these runs."""
    longest = max(run.history[-1]['wall_seconds'] for run in runs)
    if longest < 300:
        return TimeUnit('s', 1.)
    return TimeUnit('min', 60.) if longest < 3 * 3600 else TimeUnit('h', 3600.)
