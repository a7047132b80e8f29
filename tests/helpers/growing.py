# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A run that writes its files bit by bit, as a training does."""
import json
from pathlib import Path

METRIC = 'coco/bbox_mAP'


class GrowingRun:
    """Appends to the files of a work_dir what hooks and logger would write.

    Args:
        folder (Path): Its work_dir.
        epochs (int): Epochs of the whole run.
        length (int): Iterations of an epoch.
        step (float): Seconds of a step.
        validation (float): Seconds of a validation.
        teacher (float): The teacher's score; None for a baseline.
        targets (tuple): Targets of the config.
        recorded (bool): Whether it has a ``TimeToTargetHook``.
    """

    def __init__(self,
                 folder,
                 epochs=4,
                 length=10,
                 step=.5,
                 validation=3.,
                 teacher=None,
                 targets=(),
                 recorded=True):
        self.folder, self.epochs, self.length = Path(folder), epochs, length
        self.step, self.validation = step, validation
        self.teacher, self.recorded = teacher, recorded
        self.targets = [
            dict(metric=METRIC, value=value, rule='greater')
            for value in targets
        ]
        self.iter, self.history, self.starts = 0, [], 0

    def start(self, at=0):
        """Begin, or resume at an iteration: a new log folder."""
        self.starts += 1
        self.iter = at
        self.history = [row for row in self.history if row['iter'] <= at]
        self.log = self.folder / f'20260101_00000{self.starts}' / 'vis_data'
        self.log.mkdir(parents=True)
        (self.log / 'config.py').write_text(
            f'train_cfg = dict(by_epoch=True, max_epochs={self.epochs})\n'
            f'default_hooks = dict(logger=dict(interval=1))\n'
            f'resume = {at > 0}\n')
        if self.teacher is not None and at == 0:
            self.event(
                'teacher',
                metric=METRIC,
                score=self.teacher,
                metrics={METRIC: self.teacher},
                seconds=7.)
        self.write()
        return self

    def event(self, kind, **fields):
        """A row of the record of decisions."""
        with open(self.folder / 'w2s_record.jsonl', 'a') as file:
            row = dict(event=kind, iter=self.iter, **fields)
            file.write(json.dumps(row) + '\n')

    def line(self, **scalars):
        """A line of MMEngine's log."""
        with open(self.log / 'scalars.json', 'a') as file:
            file.write(json.dumps(scalars) + '\n')

    def train(self, iterations=1, step=None):
        """Some steps, each with a line in the log."""
        for _ in range(iterations):
            self.iter += 1
            self.line(
                lr=.01,
                loss=1.,
                time=step or self.step,
                epoch=(self.iter - 1) // self.length + 1,
                iter=self.iter,
                step=self.iter)
        return self

    def validate(self, score):
        """A validation with this score, None for no metric."""
        epoch = self.iter / self.length
        train = self.iter * self.step
        waits = 7. if self.teacher is not None else 0.
        metrics = {} if score is None else {METRIC: score}
        self.history.append(
            dict(
                epoch=epoch,
                iter=self.iter,
                samples=None,
                train_seconds=train,
                wall_seconds=train + waits + self.validation *
                (len(self.history) + 1),
                metrics=metrics))
        self.write()
        self.line(**metrics, time=.1, data_time=.01, step=round(epoch))
        return self

    def stop(self, reason='surpassed'):
        """The end of the distillation."""
        self.event(
            'stop',
            metric=METRIC,
            epoch=self.iter / self.length,
            reason=reason)
        return self

    def finish(self):
        """The end of the run."""
        self.write(finished=True)
        return self

    def write(self, finished=False):
        """Rewrite the record of validations."""
        if not self.recorded:
            return
        targets = []
        for target in self.targets:
            reached = next(
                (row for row in self.history
                 if (row['metrics'].get(METRIC) or 0.) >= target['value']),
                None)
            targets.append(dict(target, reached=reached))
        run = dict(
            iters_per_epoch=self.length,
            max_epochs=self.epochs,
            max_iters=self.epochs * self.length)
        (self.folder / 'time_to_target.json').write_text(
            json.dumps(
                dict(
                    schema_version=1,
                    run=run,
                    history=self.history,
                    targets=targets,
                    finished=finished)))
