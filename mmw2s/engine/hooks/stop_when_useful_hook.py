# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Optional, Sequence

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmw2s.engine.checkpoints import save_resumable
from mmw2s.engine.run_log import RunLog, refuse_another
from mmw2s.records.event_log import EventLog
from mmw2s.records.flat_curve import is_flat
from mmw2s.records.metric_names import main_metric
from mmw2s.records.operating_band import LOW, judge_teacher
from mmw2s.records.targets import infer_rule
from mmw2s.utils.building import check_fields
from mmw2s.utils.fields import check_choice, check_integer, check_number

__all__ = ['StopWhenUsefulHook']


@HOOKS.register_module()
class StopWhenUsefulHook(Hook):
    """Ends the training of a teacher once more of it would be wasted.

    That is at the first validation at which the model

    - scores at least ``share`` of ``student_best``, so that it is a useful
      teacher; or
    - has improved by less than ``min_gain`` in the last ``patience``
      validations (:func:`~mmw2s.records.flat_curve.is_flat`).

    The run ends as at its last epoch, and its checkpoint is saved. What
    decides are the validations that ``TimeToTargetHook`` records, so a resumed
    run decides as the unbroken one. (MMEngine's ``EarlyStoppingHook`` counts
    anew after a resume, saves nothing, and takes ``min_delta`` as a number,
    not as a share.)

    Args:
        student_best (float, optional): The best score that the student reaches
            without a teacher. Defaults to None: only the model's own curve
            ends the run.
        share (float): Share of ``student_best``, see
            :func:`~mmw2s.records.operating_band.judge_teacher`. Defaults to
            0.85, where teachers begin to be useful.
        patience (int): Number of validations. Defaults to 3.
        min_gain (float): Share of the best score before these. Defaults to
            0.02. With 0 a curve never counts as flat.
        metric (str, optional): Name of the metric. Defaults to None: the main
            one, see :func:`~mmw2s.records.metric_names.main_metric`.
        rule (str, optional): 'greater' or 'less': which scores are better.
            Defaults to None: by the metric's name.

    Raises:
        ValueError: If a field is out of range; before training, if the run
            has no ``TimeToTargetHook`` or no validation.

    Examples:
        >>> default_hooks = dict(
        >>>     time_to_target=dict(type='mmw2s.TimeToTargetHook'),
        >>>     stop_when_useful=dict(
        >>>         type='mmw2s.StopWhenUsefulHook', student_best=0.49))
    """

    # In before_train, after TimeToTargetHook has opened the record, and
    # before RunLog runs a validation that is missing.
    priority = 'LOW'

    def __init__(self,
                 student_best: Optional[float] = None,
                 share: float = LOW,
                 patience: int = 3,
                 min_gain: float = 0.02,
                 metric: Optional[str] = None,
                 rule: Optional[str] = None,
                 **unknown: Any) -> None:
        owner = type(self).__name__
        check_fields(owner, unknown, ('student_best', 'share', 'patience',
                                      'min_gain', 'metric', 'rule'))
        if student_best is not None:
            check_number(f'{owner}.student_best', student_best, above=0)
        check_number(f'{owner}.share', share, above=0)
        check_integer(f'{owner}.patience', patience, at_least=1)
        check_number(f'{owner}.min_gain', min_gain, at_least=0, below=1)
        check_choice(f'{owner}.rule', rule, (None, 'greater', 'less'))
        self.student_best, self.share = student_best, share
        self.patience, self.min_gain = patience, min_gain
        self.metric, self.rule = metric, rule
        self._log: Optional[EventLog] = None
        self._saved_iter: Optional[int] = None

    def before_run(self, runner) -> None:
        """Get the log of the run."""
        self._log = RunLog.of(runner)

    def before_train(self, runner) -> None:
        """Refuse a run that tells nothing; end one that had been ended."""
        refuse_another(runner, self)
        if self._log.history is None or runner.val_loop is None:
            raise ValueError(
                'StopWhenUsefulHook reads the validations that '
                'TimeToTargetHook records, but the run has no ' +
                ('TimeToTargetHook: add default_hooks.time_to_target=dict('
                 "type='mmw2s.TimeToTargetHook')" if self._log.history is
                 None else 'validation: give it a val_dataloader'))
        self._saved_iter = runner.iter if runner.iter > 0 else None
        self._stop_if_enough(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Remember the iteration of the latest checkpoint."""
        if 'optimizer' in checkpoint:  # otherwise it cannot be resumed from
            self._saved_iter = checkpoint.get('meta', {}).get('iter')

    def after_val(self, runner) -> None:
        """Decide; by now all hooks have seen the validation."""
        if self._log.history is not None:  # else runner.val() on its own
            self._stop_if_enough(runner)

    def _stop_if_enough(self, runner) -> None:
        reason = self.why_enough(self._log.history.rows)
        if reason is None:
            return
        if self._saved_iter != runner.iter:
            save_resumable(runner, f'useful_iter_{runner.iter}.pth',
                           runner.epoch, runner.iter)
        runner.train_loop.stop_training = True
        runner.logger.info(f'Training ends at iteration {runner.iter}: '
                           f'{reason}.')

    def why_enough(self, rows: Sequence[dict]) -> Optional[str]:
        """Why these validations are enough; None if they are not.

        Args:
            rows (Sequence[dict]): Rows of ``time_to_target.json``.

        Raises:
            ValueError: If nobody can tell which scores are better.
        """
        metric = self.metric or main_metric(name for row in rows
                                            for name in row['metrics'])
        if metric is None or not rows:
            return None
        rule = infer_rule(metric, self.rule)
        scores = [row['metrics'].get(metric) for row in rows]
        if self.student_best is not None and scores[-1] is not None:
            judged = judge_teacher(scores[-1], self.student_best, rule)
            if judged.share >= self.share:
                return (f'{metric} is {scores[-1]:.4g}, {judged.share:.0%} as '
                        f'good as the student\'s best of '
                        f'{self.student_best:.4g}')
        if is_flat(scores, rule, self.patience, self.min_gain):
            return (f'{metric} has improved by less than {self.min_gain:.1%} '
                    f'in the last {self.patience} validations')
        return None
