# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Dict, List, Optional, Sequence, Union

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop

from mmw2s.engine.checkpoints import save_resumable
from mmw2s.engine.data_wait import DataWaitHook
from mmw2s.engine.next_command import tell_next_command
from mmw2s.engine.run_facts import describe_run, iters_per_epoch, samples_drawn
from mmw2s.engine.run_guard import batches_trained
from mmw2s.engine.run_log import RunLog, refuse_another
from mmw2s.records.event_log import EventLog
from mmw2s.records.targets import (make_targets, target_results, tell_reached,
                                   warn_of_unknown)
from mmw2s.utils.fields import check_choice, check_flag
from mmw2s.utils.timing import Clock

__all__ = ['TimeToTargetHook']


@HOOKS.register_module()
class TimeToTargetHook(Hook):
    """Records when each metric reached its targets, in every unit of cost.

    It needs no distillation. Give it to the baseline too, and compare the
    runs with ``mmw2s compare``. After each validation it rewrites
    ``time_to_target.json`` in the work_dir. The file holds the validations,
    their costs (epochs, iterations, samples, training time and wall clock, in
    seconds), the targets that they reached, and facts about the run; see
    :class:`~mmw2s.records.history.History`.

    A resumed run continues the history and the clocks, in another work_dir
    too. Seconds between the checkpoint and the cut do not count; nor do those
    for skipping data that were trained on. A fresh run renames an older file
    to ``time_to_target.<n>.json``.

    Args:
        targets (dict, optional): Metric -> a value to reach, or a list of
            them. Defaults to None: only the history is kept.
        rule (str, optional): 'greater' or 'less': which scores are better,
            for all metrics in ``targets``. Defaults to None: inferred from
            each name.
        stop_at_target (bool): Whether to end the run, with a checkpoint, at
            the first validation at which all targets have been reached.
            Defaults to False.

    Raises:
        ValueError: If the rule of a metric cannot be inferred, or
            ``stop_at_target`` is set without a target.

    Examples:
        >>> default_hooks = dict(time_to_target=dict(
        >>>     type='mmw2s.TimeToTargetHook',
        >>>     targets={'coco/bbox_mAP': [0.2, 0.3]}))
    """

    # First in every stage, so that the clocks include what other hooks do.
    priority = 'VERY_HIGH'

    def __init__(self,
                 targets: Optional[Dict[str, Union[float,
                                                   Sequence[float]]]] = None,
                 rule: Optional[str] = None,
                 stop_at_target: bool = False) -> None:
        check_choice('TimeToTargetHook.rule', rule, (None, 'greater', 'less'))
        check_flag('TimeToTargetHook.stop_at_target', stop_at_target)
        self.targets = make_targets('TimeToTargetHook.targets', targets, rule)
        if stop_at_target and not self.targets:
            raise ValueError('stop_at_target=True needs at least one target, '
                             "e.g. targets={'coco/bbox_mAP': [0.3]}")
        self.stop_at_target = stop_at_target
        self.history: List[dict] = []
        self._log: Optional[EventLog] = None
        self._wall, self._train = Clock(), Clock()
        self._metrics_seen = False
        self._loaded_clock: Optional[dict] = None
        self._saved_iter: Optional[int] = None
        self._data_wait = DataWaitHook()

    def before_run(self, runner) -> None:
        """Get the log of the run, which also runs a missed validation."""
        self._log = RunLog.of(runner)
        if self._data_wait not in runner.hooks:
            runner.register_hook(self._data_wait)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep the clocks; whether this is a resume is not known yet."""
        self._loaded_clock = checkpoint.get('time_to_target')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Save the clocks, as plain floats that load anywhere."""
        checkpoint['time_to_target'] = dict(
            train_seconds=self._train.seconds, wall_seconds=self._wall.seconds)
        if 'optimizer' in checkpoint:  # otherwise it cannot be resumed from
            self._saved_iter = checkpoint.get('meta', {}).get('iter')

    def before_train(self, runner) -> None:
        """Start the clock, or set it to where the resumed run had stopped."""
        refuse_another(runner, self)
        self._wall, self._train = Clock(), Clock()
        self._wall.start()
        self.history = self._log.open_history(
            runner.work_dir,
            runner.iter,
            runner._load_from,
            self._loaded_clock,
            facts=describe_run(runner)).rows
        if runner.iter > 0:
            self._set_clocks(runner)
        self._data_wait.reset(self._train.seconds)
        self._write()
        if self.stop_at_target and self._all_reached():
            self._stop(runner)

    def _set_clocks(self, runner) -> None:
        """Let the clocks go on from where the resumed run had stopped."""
        clock = self._loaded_clock
        if clock is None:
            runner.logger.warning(
                'The checkpoint was saved without TimeToTargetHook: its '
                'clocks go on from the last validation on record.')
            clock = dict(train_seconds=0., wall_seconds=0.)
        # The checkpoint is older than the validation of its own iteration,
        # which is not run again.
        last = self.history[-1] if self.history else clock
        self._train, self._wall = (
            Clock(max(clock[unit], last[unit]))
            for unit in ('train_seconds', 'wall_seconds'))
        self._wall.start()

    def before_train_epoch(self, runner) -> None:
        """Start the clock of the training time."""
        if runner.iter > 0 and (batches_trained(runner) or isinstance(
                runner.train_loop, IterBasedTrainLoop)):
            # A resumed run first reads again the data that it has trained on.
            self._wall.stop()
        else:
            self._train.start()

    def before_train_iter(self,
                          runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """End the wait for data; start the clocks if data were skipped."""
        if self._train.running:
            self._data_wait.clock.stop()
        else:
            self._wall.start()
            self._train.start()

    def before_val(self, runner) -> None:
        """Take the validation out of the training time."""
        self._was_training = self._train.running
        if self._was_training and torch.cuda.is_available():
            torch.cuda.synchronize()  # only once in a validation
        self._train.stop()

    def after_val_epoch(self,
                        runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Add a row to the history and rewrite the file."""
        if self._log.history is None:  # runner.val() on its own
            return
        train_seconds = self._train.seconds
        data_wait = self._data_wait.share(train_seconds)
        if data_wait is not None:
            runner.logger.info(f'{data_wait:.1%} of the training time since '
                               'the last validation went into waiting for '
                               'data.')
        validation = self._log.validated(
            runner.iter,
            runner.iter / iters_per_epoch(runner),
            metrics,
            cost=dict(
                samples=samples_drawn(runner, runner.iter),
                train_seconds=train_seconds,
                wall_seconds=self._wall.seconds,
                data_wait=data_wait))
        if validation['metrics'] and not self._metrics_seen:
            self._metrics_seen = True
            warn_of_unknown(self.targets, validation['metrics'])
        for result in self._write():
            if result['reached'] and result['reached']['iter'] == runner.iter:
                tell_reached(result)

    def after_val(self, runner) -> None:
        """Stop if asked to; by now all hooks have seen the validation."""
        if self._log.history is None:
            return
        if self._was_training:
            self._train.start()
        if self.stop_at_target and self._all_reached():
            if self._saved_iter != runner.iter:
                save_resumable(runner, f'at_target_iter_{runner.iter}.pth',
                               runner.epoch, runner.iter)
            self._stop(runner)

    def after_train(self, runner) -> None:
        """Mark the record as complete."""
        self._train.stop()
        self._write(finished=True)
        tell_next_command(runner)

    def _write(self, finished: bool = False) -> List[dict]:
        """Rewrite the file, and return the targets as it holds them."""
        found = target_results(self.targets, self.history)
        self._log.history.write(found, finished)
        return found

    def _all_reached(self) -> bool:
        found = target_results(self.targets, self.history)
        return all(result['reached'] for result in found)

    def _stop(self, runner) -> None:
        runner.train_loop.stop_training = True
        reached = ', '.join(f'{t["metric"]} {t["value"]:g}'
                            for t in self.targets)
        runner.logger.info(f'All targets are reached ({reached}) at iteration '
                           f'{self.history[-1]["iter"]}: training stops, as '
                           'stop_at_target=True asks.')
