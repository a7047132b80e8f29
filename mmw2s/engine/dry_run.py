# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""One batch through everything, to see what a config does before paying."""
import copy
import tempfile
import time
from typing import List, Optional

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from rich.console import Console
from rich.table import Table

from .hooks import WeakTeacherDistillHook
from .launch import build_runner

__all__ = ['dry_run']


class _Finished(Exception):
    """Leaves the training loop."""


class _DryRunHook(Hook):
    """Watches three steps: with every pair noted, with, and without.

    The first is not timed, for it allocates and tunes.
    """

    priority = 'LOWEST'

    def __init__(self, distilling: WeakTeacherDistillHook) -> None:
        self.distilling = distilling
        self.ms: List[float] = []
        self.memory: List[float] = []
        self.teacher_ms: Optional[float] = None

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Set the strength of this step: full, full, none."""
        step = len(self.ms)
        if self.distilling.distiller is None:
            raise ValueError('the stop rule of this config ends the '
                             'distillation within its first three steps')
        self.distilling.distiller.set_strength(float(step < 2), runner.iter)
        self.distilling.measured = [] if step == 0 else None
        if step == 0:
            self.pairs = self.distilling.measured
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        self._began = time.perf_counter()

    def after_train_iter(self,
                         runner,
                         batch_idx,
                         data_batch=None,
                         outputs=None) -> None:
        """Note time and memory; end after the third step."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            self.memory.append(torch.cuda.max_memory_allocated() / 2**20)
        self.ms.append(1000 * (time.perf_counter() - self._began))
        if len(self.ms) == 2:
            self.teacher_ms = \
                self.distilling.distiller.teacher.stopwatch.ms
        if len(self.ms) == 1:
            self.losses = {k: v.item() for k, v in outputs.items()}
        if len(self.ms) == 3:
            raise _Finished


def dry_run(cfg: Config, console: Optional[Console] = None) -> None:
    """Run three training steps of a config and say what they did.

    Prints the pairs that were matched (module, level, shape), the value of
    every loss at full strength, the teacher's score, milliseconds a step with
    and without the teacher, and on a GPU the peak memory. Writes nothing into
    the work_dir.

    Args:
        cfg (Config): A config with a ``WeakTeacherDistillHook``.
        console (Console, optional): Where to print. Defaults to None, the
            terminal.

    Raises:
        ValueError: If the config has no such hook.
    """
    console = console or Console()
    cfg = copy.deepcopy(cfg)
    with tempfile.TemporaryDirectory() as work_dir:
        cfg.work_dir = work_dir
        cfg.resume = False
        runner = build_runner(cfg)
        hooks = [
            h for h in runner.hooks if isinstance(h, WeakTeacherDistillHook)
        ]
        if not hooks:
            raise ValueError('a dry run shows what WeakTeacherDistillHook '
                             'does, but this config has none')
        # Full strength from the first step on, whatever the schedule says.
        hooks[0].schedule_cfg = dict(type='Constant', value=1.)
        watch = _DryRunHook(hooks[0])
        runner.register_hook(watch)
        try:
            runner.train()
        except _Finished:
            pass
        rows = hooks[0].record.of('teacher')
        hooks[0].after_train(runner)
    _print(console, watch, rows[0] if rows else {}, hooks[0].teacher_cfg)


def _print(console: Console, watch: _DryRunHook, teacher: dict,
           teacher_cfg) -> None:
    table = Table(title='Pairs matched on one batch, at full strength')
    for column in ('loss', 'student and teacher', 'shape', 'value'):
        table.add_column(column)
    for measured in watch.pairs:
        table.add_row(measured.key, measured.pair.name,
                      ' x '.join(map(str, measured.pair.student.shape)),
                      f'{measured.value:.4f}')
    console.print(table)
    console.print('Losses of the batch: ' +
                  ', '.join(f'{key} {value:.4f}'
                            for key, value in watch.losses.items()))
    declared = teacher_cfg.get('score') if isinstance(teacher_cfg,
                                                      dict) else None
    if teacher.get('score') is not None:
        console.print(
            f'Teacher {teacher["name"]}: {teacher["metric"]} = '
            f'{teacher["score"]:.4f}' +
            ('' if declared is None else f', declared as {declared:.4f}'))
    _, on, off = watch.ms
    console.print(f'A step takes {on:.0f} ms with the teacher' +
                  ('' if watch.teacher_ms is
                   None else f' (its forward {watch.teacher_ms:.0f} ms)') +
                  f' and {off:.0f} ms without.')
    if watch.memory:
        console.print(f'Peak memory: {watch.memory[1]:.0f} MiB with the '
                      f'teacher, {watch.memory[2]:.0f} MiB without its loss.')
    console.print('Nothing was saved.')
