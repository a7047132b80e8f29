# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A run that is driven step by step and leaves nothing behind."""
import copy
import io
import time
from contextlib import redirect_stdout
from itertools import cycle, islice
from typing import Any, List, NamedTuple, Sequence

import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from mmw2s.engine.hooks import WeakTeacherDistillHook
from mmw2s.engine.launch import build_runner

__all__ = ['Rehearsal', 'Trained']


class Trained(NamedTuple):
    """What some steps took and gave.

    Attributes:
        ms (float): Milliseconds a step.
        losses (dict): What the last step returned, for the log.
    """
    ms: float
    losses: dict


class _Ready(Exception):
    """Leaves the training loop before its first step."""


class _LeaveHook(Hook):
    """Ends ``runner.train()`` once all other hooks are ready to train."""

    priority = 'LOWEST'

    def before_train_epoch(self, runner) -> None:
        raise _Ready


class Rehearsal:
    """A run that is set up as for training, then driven step by step.

    A step is that of MMEngine's training loops, every hook included but those
    that write logs and checkpoints. Loading data is no part of it.
    Of what the run says, only warnings and errors are shown.

    Args:
        cfg (Config): A config; it is copied.
        work_dir (str): A folder that is thrown away afterwards. Its name must
            differ from that of another rehearsal in the same process.

    Attributes:
        runner (Runner): The run.
        hook (WeakTeacherDistillHook, optional): The one that it has. Its
            fields may be changed up to :meth:`begin`.
    """

    def __init__(self, cfg: Config, work_dir: str) -> None:
        cfg = copy.deepcopy(cfg)
        cfg.work_dir = work_dir
        # Runs that share a name share a message hub.
        cfg.experiment_name = work_dir
        cfg.resume = False
        # Environment, config and progress are a run's; who rehearses prints
        # results of its own. Warnings stay.
        cfg.log_level = 'WARNING'
        # A backend of the visualizer may tell the world of a new run.
        cfg.visualizer = None
        cfg.merge_from_dict({
            'default_hooks.logger': None,
            'default_hooks.checkpoint': None
        })
        self.runner = build_runner(cfg)
        self.hook = next((h for h in self.runner.hooks
                          if isinstance(h, WeakTeacherDistillHook)), None)

    def begin(self) -> None:
        """Do all that precedes the first step."""
        self.runner.register_hook(_LeaveHook())
        try:
            # pycocotools and the like print; loggers and the warnings of
            # Python have their own way to the terminal.
            with redirect_stdout(io.StringIO()):
                self.runner.train()
        except _Ready:
            self.runner.model.train()

    def batches(self, count: int) -> List[Any]:
        """So many batches of the training set, read anew if it has fewer."""
        return list(islice(cycle(self.runner.train_dataloader), count))

    def train(self, batches: Sequence[Any]) -> Trained:
        """Train a step on each of the batches, and time them."""
        # A preprocessor may change its batch, which others want to see too;
        # one copy each, though a batch may stand in the list several times.
        batches = [copy.deepcopy(batch) for batch in batches]
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.synchronize()
        began = time.perf_counter()
        for batch in batches:
            losses = self._step(batch)
        if on_gpu:
            torch.cuda.synchronize()
        ms = 1000 * (time.perf_counter() - began) / len(batches)
        return Trained(ms, losses)

    def _step(self, batch: Any) -> dict:
        runner, loop = self.runner, self.runner.train_loop
        given = dict(batch_idx=loop.iter, data_batch=batch)
        runner.call_hook('before_train_iter', **given)
        losses = runner.model.train_step(
            batch, optim_wrapper=runner.optim_wrapper)
        runner.call_hook('after_train_iter', **given, outputs=losses)
        loop._iter += 1
        return losses
