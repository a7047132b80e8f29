# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Read a run without a record of mmw2s from MMEngine's own logs.

The logs are in ``<work_dir>/<timestamp>/vis_data``. There is one such folder
for each time that the run was started or resumed.
"""
import glob
import math
import os.path as osp
from itertools import count
from typing import Any, Dict, List, NamedTuple, Optional

from mmengine.config import Config

from mmw2s.utils.hook_configs import hook_configs
from .logged_scalars import Line, read_scalars

__all__ = ['LoggedRun', 'log_folders', 'read_logs']

_NO_METRICS = ('time', 'data_time', 'memory', 'eta', 'lr')
_LOG_INTERVAL, _WINDOW = 10, 10  # defaults of LoggerHook and LogProcessor


class LoggedRun(NamedTuple):
    """What MMEngine's logs say about a run.

    Attributes:
        history (list[dict]): Validations, in the form of
            ``time_to_target.json``. Unknown values are None: always the wall
            clock; the epoch, if the loop counts iterations; the seconds, if
            the time of an iteration was not logged. (In a loop that counts
            iterations, this time includes the computing of metrics.)
        facts (dict): Facts from the config.
        finished (bool): Whether the run has ended, as far as is known.
        distills (bool): Whether the run may have had a teacher.
        folder (str): The latest log folder of the run.
    """
    history: List[dict]
    facts: dict
    finished: bool
    distills: bool
    folder: str


def log_folders(work_dir: str) -> List[str]:
    """The ``vis_data`` folders of a work_dir, or of a timestamp folder.

    In order of time: the last one is the latest.
    """
    work_dir = glob.escape(work_dir)
    return sorted(glob.glob(osp.join(work_dir, '*', 'vis_data'))) or \
        glob.glob(osp.join(work_dir, 'vis_data'))


def read_logs(work_dir: str) -> Optional[LoggedRun]:
    """Read the logs of the latest run in a work_dir.

    The parts of a resumed run are joined. Where a later part repeats
    iterations of an earlier one, the later part counts.

    Args:
        work_dir (str): The work_dir, or one timestamp folder in it.

    Returns:
        LoggedRun or None: The run; None if no training was logged.

    Raises:
        ValueError: If there are only event files of TensorBoard, which is not
            installed.
    """
    parts = [_Part(folder) for folder in log_folders(work_dir)]
    parts = [part for part in parts if part.first_iter is not None]
    if not parts:
        return None
    begin = max(i for i, part in enumerate(parts)
                if i == 0 or part.is_fresh(parts[i - 1]))
    return _join(parts[begin:], begin)


class _Part:
    """The log of a run from a start or resume to the next end."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.lines = read_scalars(folder)
        self.cfg = _config_of(folder)
        trained = [line for line in self.lines if line.is_training]
        self.iters = [int(line.scalars['iter']) for line in trained]
        self.epochs = [line.scalars.get('epoch') for line in trained]
        self.first_iter = self.iters[0] if self.iters else None
        loop = self.cfg.get('train_cfg') or {}
        self.by_epoch = loop.get(
            'by_epoch', 'max_epochs' in loop
            if loop else bool(self.epochs) and self.epochs[-1] is not None)
        self.logger = (self.cfg.get('default_hooks') or {}).get('logger') or {}

    def is_fresh(self, earlier: '_Part') -> bool:
        """Whether the part starts a new run at iteration 0."""
        if 'resume' in self.cfg:
            return not self.cfg['resume']
        return self.first_iter <= earlier.first_iter

    def epoch_length(self) -> Optional[float]:
        """Number of iterations in an epoch, None if it is not known."""
        # The first line of an epoch comes after as many iterations of it in
        # each epoch, so these lines are a whole number of epochs apart.
        firsts: Dict[float, int] = {}
        for epoch, iteration in zip(self.epochs, self.iters):
            if epoch is not None:
                firsts.setdefault(epoch, iteration)
        if len(firsts) < 2:
            return None
        (e1, i1), *_, (e2, i2) = firsts.items()
        return (i2 - i1) / (e2 - e1)


def _config_of(folder: str) -> dict:
    """The config of a part; empty if it cannot be found or read."""
    found = glob.glob(osp.join(folder, 'config.py'))
    # If no visualizer wrote it, Runner.dump_config did.
    found = found or glob.glob(osp.join(folder, '..', '..', '*.py'))
    if len(found) != 1:
        return {}
    try:
        return Config.fromfile(found[0], import_custom_modules=False).to_dict()
    except Exception:  # a config may do anything; scalars are useful without
        return {}


def _join(parts: List[_Part], earlier_runs: int) -> LoggedRun:
    last = parts[-1]
    lengths = [part.epoch_length() for part in parts]
    length = next((x for x in lengths if x), None)
    if length is None and last.by_epoch and len(
            parts) > 1 and last.epochs[-1] != parts[0].epochs[0] is not None:
        length = (last.first_iter - parts[0].first_iter) / (
            last.epochs[0] - parts[0].epochs[0])
    history: List[dict] = []
    spent: Dict[int, Optional[float]] = {0: 0.}  # seconds, by iteration
    for part in parts:
        begins = part.first_iter - int(
            min(
                part.logger.get('interval', _LOG_INTERVAL), length
                or math.inf))
        begins = max(begins, 0)
        spent = {i: s for i, s in spent.items() if i <= begins}
        rows = _validations(part, length, begins, spent)
        cut = min([part.first_iter] + [row['iter'] for row in rows])
        history = [row for row in history if row['iter'] < cut] + rows
    facts = _facts(last, length if last.by_epoch else None)
    facts['source'] = 'MMEngine\'s own logs in ' + ', '.join(
        osp.basename(osp.dirname(part.folder)) for part in parts)
    if earlier_runs:
        facts['source'] += ' (earlier runs in this folder are left out)'
    # Without the start of the run, earlier logs are elsewhere or deleted.
    if parts[0].cfg.get(
            'resume') and parts[0].first_iter > parts[0].logger.get(
                'interval', _LOG_INTERVAL):
        facts['recorded_from'] = parts[0].first_iter
    return LoggedRun(history, facts, _is_finished(last, history),
                     _distills(last.cfg), last.folder)


def _validations(part: _Part, length: Optional[float], begins: int,
                 spent: Dict[int, Optional[float]]) -> List[dict]:
    """The validations of a part, in the form of ``time_to_target.json``.

    Args:
        part (_Part): The part.
        length (float, optional): Number of iterations in an epoch.
        begins (int): Number of iterations before the part.
        spent (dict): Iteration -> seconds of training up to it. Those of the
            part are added.
    """
    rows: List[dict] = []
    at, per_iter = begins, None
    seconds = spent[max(spent)]
    processor = part.cfg.get('log_processor') or {}
    hierarchy = processor.get('log_with_hierarchy')
    window = processor.get('window_size', _WINDOW)
    counted, counted_seconds = at, seconds
    for line in part.lines:
        if line.is_training:
            now = int(line.scalars['iter'])
            per_iter = line.scalars.get('time', line.scalars.get('train/time'))
            if None in (seconds, per_iter):
                seconds = None
            else:
                seconds = max(seconds,
                              counted_seconds + per_iter * (now - counted))
            # The logged time is a mean over a window of iterations. To count
            # no iteration twice, the sum goes on only where a window ends.
            if now - counted >= window:
                counted, counted_seconds = now, seconds
            at = now
            spent[at] = seconds
            continue
        epoch, iteration = _place(part, line.step, at, length,
                                  rows[-1]['iter'] if rows else begins)
        rows = [row for row in rows if row['iter'] < iteration]
        known = None if seconds is None else \
            seconds + (per_iter or 0.) * max(iteration - at, 0)
        rows.append(
            dict(
                epoch=epoch,
                iter=iteration,
                samples=None,
                train_seconds=known,
                wall_seconds=None,
                metrics=_metrics(line, bool(hierarchy))))
    return rows


def _place(part: _Part, step: int, at: int, length: Optional[float],
           last: int) -> tuple:
    """Epoch and iteration of a validation, from the step that LoggerHook's
    ``after_val_epoch`` has logged."""
    counts_epochs = part.logger.get('log_metric_by_epoch', True)
    if part.by_epoch:
        if counts_epochs:
            return float(step), round(step * length) if length else at
        return (step / length if length else None), step
    if not counts_epochs or not part.cfg and step >= at > 0:
        return None, step
    # In this loop the logged epoch is always 0. So the validation is taken to
    # be the next one that was due.
    loop = part.cfg.get('train_cfg') or {}
    end = loop.get('max_iters', math.inf)
    return None, next(
        i for i in count(max(at, last + 1)) if i >= end or _is_due(loop, i))


def _is_due(loop: dict, iteration: int) -> bool:
    """Whether a loop that counts iterations validates after this one."""
    interval = loop.get('val_interval', 1000)
    for begin, new in loop.get('dynamic_intervals') or ():
        if iteration >= begin:
            interval = new
    return iteration >= loop.get('val_begin', 1) and iteration % interval == 0


def _metrics(line: Line, hierarchy: bool) -> Dict[str, Optional[float]]:
    metrics = {}
    for name, value in line.scalars.items():
        if hierarchy and name.startswith('val/'):
            name = name[len('val/'):]
        if name not in _NO_METRICS:
            metrics[name] = value if math.isfinite(value) else None
    return metrics


def _facts(part: _Part, length: Optional[float]) -> Dict[str, Any]:
    """The facts of a run that its config says."""
    cfg = part.cfg
    loop = cfg.get('train_cfg') or {}
    scripts = glob.glob(osp.join(part.folder, '..', '..', '*.py'))
    facts = dict(
        config=osp.basename(scripts[0]) if len(scripts) == 1 else None,
        seed=(cfg.get('randomness') or {}).get('seed'),
        batch_size_per_device=(cfg.get('train_dataloader')
                               or {}).get('batch_size'),
        iters_per_epoch=length,
        max_epochs=loop.get('max_epochs'),
        max_iters=loop.get('max_iters'))
    if length and loop.get('max_epochs'):
        facts['max_iters'] = round(length * loop['max_epochs'])
    return {k: v for k, v in facts.items() if v is not None}


def _is_finished(part: _Part, history: List[dict]) -> bool:
    loop = part.cfg.get('train_cfg') or {}
    done, goal = part.iters[-1], loop.get('max_iters')
    if loop.get('max_epochs'):
        done = history[-1]['epoch'] if history else 0
        goal = loop['max_epochs']
    return goal is None or done is None or done >= goal or bool(
        history and history[-1]['iter'] == goal)


def _distills(cfg: dict) -> bool:
    """Whether a config has a WeakTeacherDistillHook, or is not known."""
    return not cfg or bool(hook_configs(cfg, 'WeakTeacherDistillHook'))
