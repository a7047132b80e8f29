# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A run for measurements, which is driven step by step."""
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

__all__ = ['NothingDistilled', 'Rehearsal', 'Trained']


class NothingDistilled(ValueError):
    """The teacher of a run gives its weights alone: no step shows it."""


class Trained(NamedTuple):
    """Time and losses of some training steps.

    Attributes:
        ms (float): Milliseconds a step, the mean.
        losses (dict): The losses that the last step returned.
    """
    ms: float
    losses: dict


class _Ready(Exception):
    """Raised to leave the training loop before its first step."""


class _LeaveHook(Hook):
    """Leaves ``runner.train()`` when all other hooks are ready to train."""

    priority = 'LOWEST'

    def before_train_epoch(self, runner) -> None:
        raise _Ready


class Rehearsal:
    """A run that is set up as for training and then driven step by step.

    A step is a step of MMEngine's training loops. It includes all hooks but
    those that write logs and checkpoints, and does not include the loading of
    data. Only warnings and errors of the run are shown. Of several teachers
    all are built, and the first that distills anything is left.

    Args:
        cfg (Config): A config; it is copied.
        work_dir (str): A temporary folder. Two rehearsals in one process need
            different names.

    Attributes:
        runner (Runner): The runner.
        hooks (list[WeakTeacherDistillHook]): Those of the run. Their fields
            may be changed before :meth:`begin`.
        hook (WeakTeacherDistillHook, optional): The one that distills, after
            :meth:`begin`.

    Examples:
        >>> run = Rehearsal(cfg, '/tmp/rehearsal')
        >>> run.begin()
        >>> run.train(run.batches(4)).ms
    """

    def __init__(self, cfg: Config, work_dir: str) -> None:
        cfg = copy.deepcopy(cfg)
        cfg.work_dir = work_dir
        # Runs that share a name share a message hub.
        cfg.experiment_name = work_dir
        cfg.resume = False
        # Environment, config and progress of this run are of no interest.
        cfg.log_level = 'WARNING'
        # A backend of the visualizer may report a new run to a server.
        cfg.visualizer = None
        cfg.merge_from_dict({
            'default_hooks.logger': None,
            'default_hooks.checkpoint': None
        })
        self.runner = build_runner(cfg)
        self.hooks = [
            hook for hook in self.runner.hooks
            if isinstance(hook, WeakTeacherDistillHook)
        ]
        self.hook = self.hooks[0] if self.hooks else None

    def begin(self) -> None:
        """Do everything that comes before the first step.

        Raises:
            NothingDistilled: If the run has a teacher, but distills nothing.
        """
        self.runner.register_hook(_LeaveHook())
        try:
            # Hides what pycocotools and others print. Logs and warnings do
            # not use stdout.
            with redirect_stdout(io.StringIO()):
                self.runner.train()
        except _Ready:
            self.runner.model.train()
        distilling = [hook for hook in self.hooks if hook.distiller]
        self.hook = (distilling or [self.hook])[0]
        for further in distilling[1:]:
            further.session.close(self.runner)
        if self.hook is not None and self.hook.distiller is None:
            raise NothingDistilled(
                'there is no step with a teacher to show: nothing is '
                f'distilled (distill=[]). {self.hook.session.starting}')

    def batches(self, count: int) -> List[Any]:
        """The first ``count`` training batches, repeated if there are fewer.
        """
        return list(islice(cycle(self.runner.train_dataloader), count))

    def train(self, batches: Sequence[Any]) -> Trained:
        """Train one step on each of the batches, and measure the time.

        Args:
            batches (Sequence): The batches.
        """
        # A preprocessor may change its batch, and the caller may use a batch
        # again, so each step gets a copy.
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
