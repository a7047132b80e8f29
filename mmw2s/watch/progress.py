# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How far a run is, told by the files in its work_dir alone."""
import math
import time
from dataclasses import dataclass, replace
from typing import Any, List, NamedTuple, Optional, Tuple

from mmw2s.records.files import Rows, teacher_and_stop
from mmw2s.records.lock import has_ended
from mmw2s.records.metric_names import known_rule, main_metric
from .run_files import RunFiles, Stamp, stamps
from .times import log_seconds, step_seconds, validation_seconds

__all__ = ['SILENT', 'Point', 'RunProgress', 'Stop', 'Target']

#: A run that has written nothing for so many seconds is called stalled, unless
#: its steps are so slow that it has nothing to write yet.
SILENT = 600.
# A process of this number elsewhere may be taken for the run's.
_GRACE = 30.


class Point(NamedTuple):
    """A validation: iteration, epoch (None if not known) and score."""
    iteration: int
    epoch: Optional[float]
    score: float


class Stop(NamedTuple):
    """The end of a distillation."""
    iteration: int
    epoch: Optional[float]
    reason: str


class Target(NamedTuple):
    """A target of the run's config, and the epoch and iteration at which it
    was reached (None: not yet)."""
    metric: str
    value: float
    epoch: Optional[float]
    iteration: Optional[int]


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Args:
        work_dir (str): Its work_dir.
        state (str): 'waiting' (nothing was trained yet), 'running',
            'finished', 'stalled' (it has written nothing for long) or 'failed'
            (its process, on this machine, has ended before the run).
        started (str, optional): The log folder of its latest start.
        iteration (int): Complete iterations, as far as was logged.
        max_iters (int, optional): Iterations of the whole run.
        epoch (float, optional): Complete epochs.
        max_epochs (float, optional): Epochs of the whole run.
        step_seconds (float, optional): Seconds of a step lately.
        validation_seconds (float, optional): Seconds of a validation lately,
            with what else is done between two epochs, such as saving.
        metric (str, optional): The metric that decides, or the main one.
        curve (tuple[Point]): Its validations by this metric.
        teacher (float, optional): The teacher's score.
        had_teacher (bool): Whether there is, or was, a teacher.
        stop (Stop, optional): The end of the distillation.
        targets (tuple[Target]): The targets of its config.
        problem (str, optional): What could not be read.
    """
    work_dir: str
    state: str = 'waiting'
    started: Optional[str] = None
    iteration: int = 0
    max_iters: Optional[int] = None
    epoch: Optional[float] = None
    max_epochs: Optional[float] = None
    step_seconds: Optional[float] = None
    validation_seconds: Optional[float] = None
    metric: Optional[str] = None
    curve: Tuple[Point, ...] = ()
    teacher: Optional[float] = None
    had_teacher: bool = False
    stop: Optional[Stop] = None
    targets: Tuple[Target, ...] = ()
    problem: Optional[str] = None
    # For `eta` and for the next `read`.
    validated: Tuple[int, ...] = ()
    log_seconds: float = 0.
    files: Tuple[Stamp, ...] = ()

    @classmethod
    def read(cls,
             work_dir: str,
             earlier: Optional['RunProgress'] = None) -> 'RunProgress':
        """Read the files of a run. It never fails: see :attr:`problem`.

        Args:
            work_dir (str): Its work_dir. It may not exist yet.
            earlier (RunProgress, optional): What was read before. It is taken
                over if no file has changed since. Defaults to None.

        Examples:
            >>> run = RunProgress.read('work_dirs/w2s_0')
            >>> run.state, run.iteration, run.eta
        """
        files = stamps(work_dir)
        found = earlier
        if found is None or found.files != files:
            try:
                found = _told_by(work_dir, RunFiles.read(work_dir))
            # A file of somebody else's may hold anything, and one run must
            # not end the watch of others.
            except Exception as error:
                problem = f'{type(error).__name__}: {error}'
                found = cls(work_dir, problem=_printable(problem))
            found = replace(found, files=files)
        return replace(found, state=_state(found, time.time()))

    @property
    def eta(self) -> Optional[float]:
        """Seconds to its end, None if they cannot be told.

        They follow from the latest steps and validations, not from the mean
        since the start: a step is faster once the teacher is gone. If nothing
        is known of the time of a validation (the run has no
        ``TimeToTargetHook``), that of training is given.
        """
        if self.state == 'finished':
            return 0.
        if self.max_iters is None or self.step_seconds is None:
            return None
        left = max(self.max_iters - self.iteration, 0) * self.step_seconds
        if self.validated and self.validation_seconds is not None:
            last = self.validated[-1]
            apart = max(last - (self.validated[-2:-1] or (0, ))[0], 1)
            due = math.ceil(max(self.max_iters - last, 0) / apart)
            left += due * self.validation_seconds
        return left

    @property
    def written_at(self) -> Optional[float]:
        """When it last wrote something."""
        return max((file.modified for file in self.files), default=None)

    @property
    def best(self) -> Optional[Point]:
        """Its best validation; None before the first, or if it is not known
        which scores are better."""
        rule = self.metric and known_rule(self.metric)
        if not rule or not self.curve:
            return None
        better = max if rule == 'greater' else min
        return better(self.curve, key=lambda point: point.score)

    @property
    def share(self) -> Optional[float]:
        """Share of the run that is done, from 0 to 1."""
        if self.state == 'finished':
            return 1.
        return min(self.iteration / self.max_iters, 1.) \
            if self.max_iters else None


def _told_by(work_dir: str, files: RunFiles) -> RunProgress:
    """All but what depends on the clock."""
    facts, history = files.facts, files.history
    length = _number(facts.get('iters_per_epoch'))
    max_iters = _number(facts.get('max_iters'))
    teacher, stop = teacher_and_stop(files.events)
    metric = _metric([stop, teacher, *files.targets], history)
    return RunProgress(
        work_dir,
        state='finished' if files.finished else 'running',
        started=files.started,
        iteration=files.iteration,
        max_iters=max_iters and int(max_iters),
        epoch=files.iteration / length if length else None,
        max_epochs=_number(facts.get('max_epochs'))
        or (max_iters / length if max_iters and length else None),
        step_seconds=step_seconds(files.lines, history),
        validation_seconds=validation_seconds(
            history,
            sum(
                _number(row.get('seconds')) or 0. for row in files.events
                if row.get('event') == 'teacher')),
        metric=metric and _printable(metric),
        curve=tuple(
            Point(row['iter'], row['epoch'], row['metrics'][metric])
            for row in history if row['metrics'].get(metric) is not None),
        teacher=_teacher_score(teacher, metric),
        had_teacher=bool(teacher or stop),
        stop=stop and Stop(
            int(_number(stop.get('iter')) or 0), _number(stop.get('epoch')),
            _printable(str(stop.get('reason')))),
        targets=tuple(map(_target, files.targets)),
        problem=_printable('; '.join(files.problems)) or None,
        validated=tuple(row['iter'] for row in history),
        log_seconds=log_seconds(files.lines))


def _metric(deciders: List[Optional[dict]], history: Rows) -> Optional[str]:
    """The metric that decides the stop; else that of a target; else the main
    one."""
    for row in deciders:
        if row and isinstance(row.get('metric'), str):
            return row['metric']
    return main_metric(name for row in history for name in row['metrics'])


def _teacher_score(teacher: Optional[dict],
                   metric: Optional[str]) -> Optional[float]:
    """What the student has to beat: a score that the config gives goes
    before one that was measured."""
    if teacher is None:
        return None
    decides = _number(teacher.get('score'))
    return decides if decides is not None else _number(
        (teacher.get('metrics') or {}).get(metric))


def _target(goal: dict) -> Target:
    reached = goal.get('reached') or {}
    return Target(
        _printable(goal['metric']), float(goal['value']),
        _number(reached.get('epoch')), reached.get('iter'))


def _state(run: RunProgress, now: float) -> str:
    if run.state == 'finished':
        return 'finished'
    if run.started is None and run.max_iters is None and \
            not run.had_teacher:
        return 'waiting'
    silent = now - run.written_at
    if silent > _GRACE and has_ended(run.work_dir):
        return 'failed'
    return 'stalled' if silent > max(SILENT, 3 * run.log_seconds) \
        else 'running'


def _number(value: Any) -> Optional[float]:
    return float(value) if isinstance(value, (int, float)) and not isinstance(
        value, bool) and math.isfinite(value) else None


def _printable(text: str) -> str:
    """A text of somebody's file without what would control a terminal."""
    return ''.join(x if x.isprintable() else '?' for x in text)
