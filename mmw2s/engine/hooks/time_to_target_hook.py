# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
import os.path as osp
from typing import Any, Dict, List, Optional, Sequence, Union

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop

from mmw2s.analysis.record import (FILENAME, read_record, scalar_metrics,
                                   set_aside, write_record)
from mmw2s.engine.checkpoints import save_resumable
from mmw2s.engine.data_wait import DataWaitHook
from mmw2s.engine.missed_validation import (MissedValidationHook,
                                            provide_for_resuming)
from mmw2s.engine.next_command import tell_next_command
from mmw2s.engine.only_one import refuse_another
from mmw2s.engine.run_facts import describe_run, samples_drawn
from mmw2s.engine.run_guard import batches_trained
from mmw2s.records.history import check_history
from mmw2s.records.metric_names import rule_warning, scale_warning
from mmw2s.records.targets import (check_targets, first_at_target,
                                   first_for_good, infer_rule)
from mmw2s.utils.fields import check_choice, check_flag
from mmw2s.utils.timing import Clock

__all__ = ['TimeToTargetHook']


@HOOKS.register_module()
class TimeToTargetHook(Hook):
    """Records when each metric reached its targets, in every unit of cost.

    It needs no distillation: give it to the baseline too, and compare the
    runs with ``mmw2s compare``. After each validation
    ``time_to_target.json`` in the work_dir is rewritten. It holds

    - ``run``: what a speed claim has to state (seed, devices, versions, ...);
      ``recorded_from`` in it is the iteration that a run was resumed at whose
      earlier record was lost.
    - ``history``: for each validation the completed ``epoch`` (a fraction
      where a loop validates inside an epoch), ``iter``, ``samples`` (drawn for
      training, all ranks together; null where that is not known),
      ``train_seconds`` (since the first training epoch began, validations
      excluded), ``wall_seconds`` (since ``before_train``, with validations
      and whatever other hooks do, e.g. scoring a teacher), ``data_wait``
      (share of the training time since the validation before that was spent
      waiting for data; null where there was none) and ``metrics``.
    - ``targets``: for each target the first validation that reached it
      (``reached``), and the first from which the next one reached it too
      (``reached_for_good``), or null. Other targets can be asked for
      afterwards.
    - ``finished``: whether training came to its end.

    A resumed run goes on with the history and the clocks of the run it
    resumes, in another work_dir too; seconds lost between the checkpoint and
    the cut, or in skipping data that were trained on, do not count.
    A fresh run renames an older file to ``time_to_target.<n>.json``.

    Args:
        targets (dict): Values to be reached, by metric, e.g.
            ``{'coco/bbox_mAP': [0.2, 0.3]}``. Empty: only the history is kept.
        rule (str, optional): 'greater' or 'less', the better side of all
            metrics in ``targets``. None: inferred from each name.
        stop_at_target (bool): End the run at the first validation at which
            all targets have been reached, with a checkpoint.

    Raises:
        ValueError: If the rule of a metric cannot be inferred, or
            ``stop_at_target`` is set without a target.
    """

    # First in every stage: the clocks include what other hooks do.
    priority = 'VERY_HIGH'

    def __init__(self,
                 targets: Optional[Dict[str, Union[float,
                                                   Sequence[float]]]] = None,
                 rule: Optional[str] = None,
                 stop_at_target: bool = False) -> None:
        self.targets: List[dict] = []
        check_choice('TimeToTargetHook.rule', rule, (None, 'greater', 'less'))
        check_flag('TimeToTargetHook.stop_at_target', stop_at_target)
        for metric, values in check_targets('TimeToTargetHook.targets',
                                            targets).items():
            self.targets += [
                dict(
                    metric=metric,
                    value=float(value),
                    rule=infer_rule(metric, rule)) for value in values
            ]
        for target in self.targets:
            metric, value = target['metric'], target['value']
            for warning in (rule_warning(metric, rule),
                            scale_warning('A target', value, metric)):
                if warning is not None:
                    print_log(warning, logger='current', level=logging.WARNING)
        if stop_at_target and not self.targets:
            raise ValueError('stop_at_target=True needs at least one target, '
                             "e.g. targets={'coco/bbox_mAP': [0.3]}")
        self.stop_at_target = stop_at_target
        self.history: List[dict] = []
        self._wall, self._train = Clock(), Clock()
        self._in_training = False  # between before_train and after_train
        self._finished = False
        self._metrics_seen = False
        self._loaded_clock: Optional[dict] = None
        self._saved_iter: Optional[int] = None
        self._data_wait = DataWaitHook()
        self._missed: Optional[MissedValidationHook] = None

    def before_run(self, runner) -> None:
        """Provide for a validation that was missed."""
        if self._missed is None:
            self._missed = provide_for_resuming(
                runner, lambda: [row['iter'] for row in self.history])
            runner.register_hook(self._data_wait)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep the clocks; whether this is a resume is not known yet."""
        self._loaded_clock = checkpoint.get('time_to_target')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Save the clocks, as plain floats that load anywhere."""
        checkpoint['time_to_target'] = dict(
            train_seconds=self._train.seconds, wall_seconds=self._wall.seconds)
        if 'optimizer' in checkpoint:  # not resumable without
            self._saved_iter = checkpoint.get('meta', {}).get('iter')

    def before_train(self, runner) -> None:
        """Start the clock, or set it to where the resumed run had stopped."""
        refuse_another(runner, self)
        self._path = osp.join(runner.work_dir, FILENAME)
        self._finished = False
        self._wall, self._train = Clock(), Clock()
        self._wall.start()
        self._in_training = True
        self._run = describe_run(runner)
        if runner.iter > 0:
            self._resume(runner)
        else:
            self.history = []
            # Both, or this run would be taken for the one that had a teacher.
            moved = set_aside(runner.work_dir) if is_main_process() else []
            if moved:
                runner.logger.info('The record of an earlier run in this '
                                   f'work_dir was renamed: {", ".join(moved)}')
        self._data_wait.reset(self._train.seconds)
        self._write(runner)
        if self.stop_at_target and self._all_reached():
            self._stop(runner)

    def before_train_epoch(self, runner) -> None:
        """Start the clock of the training proper."""
        if runner.iter > 0 and (batches_trained(runner) or isinstance(
                runner.train_loop, IterBasedTrainLoop)):
            # Resumed, it first reads the data again that it has trained on.
            self._wall.stop()
        else:
            self._train.start()

    def before_train_iter(self,
                          runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Note that the batch is there."""
        if self._train.running:
            self._data_wait.end()
        else:
            self._wall.start()
            self._train.start()

    def before_val(self, runner) -> None:
        """Take the validation out of the training time."""
        self._was_training = self._train.running
        if self._was_training and torch.cuda.is_available():
            torch.cuda.synchronize()  # once a validation: costs nothing
        self._train.stop()

    def after_val_epoch(self,
                        runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Add a row to the history and rewrite the file."""
        if not self._in_training:  # runner.val() on its own
            return
        metrics = scalar_metrics(metrics or {})
        self._warn_of_unknown_metrics(runner, metrics)
        iters, train_seconds = runner.iter, self._train.seconds
        data_wait = self._data_wait.share(train_seconds)
        if data_wait is not None:
            runner.logger.info(f'{data_wait:.1%} of the training time since '
                               'the last validation went into waiting for '
                               'data.')
        before = self._results()
        # A validation of the same iteration that is run again replaces the
        # earlier one.
        self.history = [row for row in self.history if row['iter'] < iters]
        self.history.append(
            dict(
                **self._position(runner, iters),
                train_seconds=train_seconds,
                wall_seconds=self._wall.seconds,
                data_wait=data_wait,
                metrics=metrics))
        for earlier, result in zip(before, self._results()):
            if result['reached'] and not earlier['reached']:
                runner.logger.info(_reached_line(result))
        self._write(runner)

    def after_val(self, runner) -> None:
        """Stop if asked to; by now all hooks have seen the validation."""
        if not self._in_training:
            return
        if self._was_training:
            self._train.start()
        if self.stop_at_target and self._all_reached():
            self._save(runner)
            self._stop(runner)

    def after_train(self, runner) -> None:
        """Mark the record as complete."""
        self._train.stop()
        self._finished = True
        self._write(runner)
        self._in_training = False
        tell_next_command(runner)

    def _position(self, runner, iters: int) -> dict:
        return dict(
            epoch=round(iters / self._run['iters_per_epoch'], 6),
            iter=iters,
            samples=samples_drawn(runner, iters))

    def _results(self) -> List[dict]:
        return [
            dict(
                target,
                reached=first_at_target(self.history, **target),
                reached_for_good=first_for_good(self.history, **target))
            for target in self.targets
        ]

    def _all_reached(self) -> bool:
        return all(result['reached'] for result in self._results())

    def _resume(self, runner) -> None:
        """Take back history and clocks up to the loaded iteration."""
        # Read on one rank and sent to all: whether a validation was missed
        # has to be answered alike everywhere.
        box = [self._read_earlier(runner) if is_main_process() else None]
        broadcast_object_list(box)
        earlier = box[0] or dict(
            history=[], run=dict(recorded_from=runner.iter))
        self.history = [
            row for row in earlier['history'] if row['iter'] <= runner.iter
        ]
        if 'recorded_from' in earlier.get('run', {}):
            self._run['recorded_from'] = earlier['run']['recorded_from']
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

    def _read_earlier(self, runner) -> Optional[dict]:
        """The record of the earlier part of this run; None if it is lost,
        which stops nobody.

        It lies in the work_dir or, if that is another one now, beside the
        checkpoint.
        """
        path = self._path
        if not osp.exists(path) and runner._load_from:
            path = osp.join(osp.dirname(runner._load_from), FILENAME)
        try:
            content = read_record(path)
            check_history(content, path, runner.iter, self._loaded_clock)
            return content
        except FileNotFoundError:
            runner.logger.warning(
                f'{path} does not exist: the resumed run has no record of its '
                'earlier validations. It is looked for in the work_dir, then '
                'beside the checkpoint.')
        except (OSError, ValueError) as error:
            lost = f'The record of earlier validations is lost: {error}.'
            if path == self._path:  # or it is another run's
                (moved, ) = set_aside(runner.work_dir, [FILENAME])
                lost += f' It was renamed to {moved}.'
            runner.logger.warning(lost)
        return None

    def _warn_of_unknown_metrics(self, runner, metrics: dict) -> None:
        if self._metrics_seen or not metrics:
            return
        self._metrics_seen = True
        unknown = sorted({
            target['metric']
            for target in self.targets if target['metric'] not in metrics
        })
        if unknown:
            runner.logger.warning(
                f'TimeToTargetHook has targets for {", ".join(unknown)}, but '
                f'the validation gives: {", ".join(metrics)}. These targets '
                'cannot be reached.')

    def _save(self, runner) -> None:
        """Save a checkpoint unless one of this iteration exists already."""
        if self._saved_iter == runner.iter:
            return
        save_resumable(runner, f'at_target_iter_{runner.iter}.pth',
                       runner.epoch, runner.iter)

    def _stop(self, runner) -> None:
        runner.train_loop.stop_training = True
        reached = ', '.join(f'{t["metric"]} {t["value"]:g}'
                            for t in self.targets)
        runner.logger.info(f'All targets are reached ({reached}) at iteration '
                           f'{self.history[-1]["iter"]}: training stops, as '
                           'stop_at_target=True asks.')

    def _write(self, runner) -> None:
        if not is_main_process():
            return
        write_record(
            self._path,
            dict(
                run=self._run,
                history=self.history,
                targets=self._results(),
                finished=self._finished))


def _reached_line(result: dict) -> str:
    row = result['reached']
    return (f'Target reached: {result["metric"]} {row["score"]:.4g} '
            f'({"<=" if result["rule"] == "less" else ">="} '
            f'{result["value"]:g}) at epoch {row["epoch"]:.4g}, iteration '
            f'{row["iter"]}, after {row["train_seconds"]:.1f} s of training, '
            f'{row["wall_seconds"]:.1f} s in all.')
