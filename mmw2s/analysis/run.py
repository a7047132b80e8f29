# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""One training run, read back from its work_dir."""
import math
import os.path as osp
from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Sequence, Set

from mmw2s.records.files import (EVENTS, FILENAME, read_events, read_record,
                                 teacher_and_stop)
from mmw2s.records.history import check_history
from mmw2s.records.targets import first_at_target, first_for_good
from .logged_scalars import SCALARS
from .mmengine_logs import read_logs

__all__ = ['Run', 'TIME_UNITS', 'UNITS', 'cost', 'known_units', 'time_unit']

#: Units of the cost of reaching a target, with their names.
UNITS = {
    'epoch': 'epochs',
    'iter': 'iterations',
    'train_seconds': 'training time',
    'wall_seconds': 'wall clock',
    'device_hours': 'device hours',
}
#: Units in which the cost of the teacher's training can be added.
TIME_UNITS = ('train_seconds', 'wall_seconds', 'device_hours')


@dataclass
class Run:
    """A run as recorded by ``TimeToTargetHook`` and the distillation hook.

    A run without ``TimeToTargetHook`` is read from MMEngine's own logs. Values
    that these do not have are None in the history.

    Args:
        name (str): Name in tables and figures.
        history (list[dict]): Rows of ``time_to_target.json``.
        facts (dict): Seed, devices, versions etc. of the run.
        targets (list[dict]): Targets in the run's own config.
        finished (bool): Whether the training has ended.
        events (list[dict]): Rows of ``w2s_record.jsonl``, and of those of
            further teachers, if there are any.
        path (str, optional): The file that the run was read from.
        checkpoints (str, optional): The folder of its checkpoints. None if the
            checkpoints there are of another run.

    Examples:
        >>> run = Run.load('work_dirs/w2s_0')
        >>> run.best('coco/bbox_mAP', 'greater')
    """
    name: str
    history: List[dict]
    facts: dict = field(default_factory=dict)
    targets: List[dict] = field(default_factory=list)
    finished: bool = True
    events: List[dict] = field(default_factory=list)
    path: Optional[str] = None
    checkpoints: Optional[str] = None

    @classmethod
    def load(cls, path: str, name: Optional[str] = None) -> 'Run':
        """Read a run.

        Args:
            path (str): The work_dir, or a ``time_to_target*.json`` file. If
                the file's name has a number, the events are read from the
                file of the same number. If a work_dir has no such file,
                MMEngine's ``scalars.json`` or TensorBoard's events are read.
                For one of several runs in a work_dir, give its timestamp
                folder.
            name (str, optional): Name of the run. Defaults to the name of the
                folder.

        Raises:
            FileNotFoundError: If there is no record of the run.
            ValueError: If the record cannot be read or has no validation.
        """
        path = osp.expanduser(path)
        if osp.basename(path) == SCALARS:  # <timestamp>/vis_data/scalars.json
            path = osp.dirname(osp.dirname(osp.abspath(path)))
        is_file = path.endswith('.json')
        folder = osp.dirname(path) or '.' if is_file else path
        record = path if is_file else osp.join(path, FILENAME)
        if not osp.isfile(record) and not is_file:
            logged = cls._load_logs(path, name)
            if logged is not None:
                return logged
        if not osp.isfile(record):
            what = 'does not exist' if not osp.isdir(folder) else \
                f'holds no {osp.basename(record)}' + (
                    '' if is_file else ' and no training logged by MMEngine')
            raise FileNotFoundError(
                f'{folder} {what}: expected is the work_dir of a run, with '
                'default_hooks=dict(time_to_target=dict(type='
                "'mmw2s.TimeToTargetHook')) in its config, or with MMEngine's "
                '<timestamp>/vis_data/scalars.json')
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
            events=read_events(folder, events),
            path=record,
            checkpoints=folder if osp.basename(record) == FILENAME else None)

    @classmethod
    def _load_logs(cls, folder: str, name: Optional[str]) -> Optional['Run']:
        logged = read_logs(folder)
        if logged is None:
            return None
        if not logged.history:
            raise ValueError(
                f'the latest run in {folder}, {logged.folder}, has no '
                'validation yet: let it go on until its first one, or name '
                'the timestamp folder of the run that you mean')
        work_dir = osp.normpath(osp.join(logged.folder, '..', '..'))
        return cls(
            name=name or osp.basename(osp.abspath(folder)),
            history=logged.history,
            facts=logged.facts,
            finished=logged.finished,
            events=read_events(work_dir) if logged.distills else [],
            path=osp.join(logged.folder),
            checkpoints=work_dir)

    @property
    def world_size(self) -> int:
        """Number of processes, one a device; 1 if it is not known."""
        return self.facts.get('world_size') or 1

    @property
    def stop(self) -> Optional[dict]:
        """The event of the last stop; None if a teacher is on, or if there
        was none."""
        return teacher_and_stop(self.events)[1]

    @property
    def had_teacher(self) -> bool:
        """Whether the record has a teacher's score or a stop."""
        return bool(self.teacher or self.stop)

    @property
    def teachers(self) -> int:
        """Number of the hooks that have left a record, each a teacher."""
        return len({event.get('hook') for event in self.events})

    @property
    def teacher(self) -> Optional[dict]:
        """The event of the teacher's scoring; None if there is none. Of
        several see :func:`~mmw2s.records.files.teacher_and_stop`."""
        return teacher_and_stop(self.events)[0]

    def metrics(self) -> Set[str]:
        """Names of all metrics in the history."""
        return {name for row in self.history for name in row['metrics']}

    def rows(self, metric: str) -> List[dict]:
        """The rows of the history that have the metric."""
        return [
            r for r in self.history if r['metrics'].get(metric) is not None
        ]

    def last(self, metric: str) -> Optional[float]:
        """The score of the last validation; None if it has none, as that of
        a run that has diverged."""
        return self.history[-1]['metrics'].get(metric)

    def best(self, metric: str, rule: str) -> Optional[dict]:
        """The row with the best score; the first one, if there are several."""
        better = max if rule == 'greater' else min
        return better(
            self.rows(metric),
            key=lambda row: row['metrics'][metric],
            default=None)

    def first_at(self, metric: str, value: float, rule: str) -> Optional[dict]:
        """The first validation that reached a value, see
        :func:`~mmw2s.records.targets.first_at_target`."""
        return first_at_target(self.history, metric, value, rule)

    def first_for_good(self, metric: str, value: float,
                       rule: str) -> Optional[dict]:
        """The first of two validations in a row that reached a value, see
        :func:`~mmw2s.records.targets.first_for_good`."""
        return first_for_good(self.history, metric, value, rule)

    def knows(self, unit: str) -> bool:
        """Whether the cost in this unit is known for the whole history."""
        return all(
            math.isfinite(cost(self, row, unit)) for row in self.history)


def cost(run: Run, row: Dict, unit: str) -> float:
    """The cost of a run from its start to a row of its history.

    Args:
        run (Run): The run.
        row (dict): One of its rows.
        unit (str): A key of :data:`UNITS`. Device hours are the wall clock
            times the number of devices.

    Returns:
        float: The cost in this unit; NaN if it is not known.
    """
    if unit == 'device_hours':
        return cost(run, row, 'wall_seconds') * run.world_size / 3600
    return math.nan if row.get(unit) is None else row[unit]


def known_units(runs: Sequence[Run]) -> List[str]:
    """The units in which the costs of all runs are known."""
    return [unit for unit in UNITS if all(run.knows(unit) for run in runs)]


class TimeUnit(NamedTuple):
    """A unit of time and its length in seconds."""
    name: str
    seconds: float


def time_unit(runs: Sequence[Run]) -> TimeUnit:
    """A unit of time for a report on these runs: s, min or h."""
    spent = [
        cost(run, run.history[-1], unit) for run in runs
        for unit in ('train_seconds', 'wall_seconds')
    ]
    longest = max((s for s in spent if math.isfinite(s)), default=0.)
    if longest < 300:
        return TimeUnit('s', 1.)
    return TimeUnit('min', 60.) if longest < 3 * 3600 else TimeUnit('h', 3600.)
