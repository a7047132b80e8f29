# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The log of a run, and the validation that a resumed run may lack.

MMEngine saves the checkpoint of an epoch *before* the validation of that
epoch, and a resumed run goes on with the next epoch. So a run that was cut in
between lacks one validation, and the decisions that depend on it.
"""
from bisect import bisect
from typing import Callable, List, Optional

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmw2s.records.event_log import EventLog
from .run_guard import batches_trained, guard

__all__ = ['RunLog', 'refuse_another', 'run_missed_validation']


class RunLog(Hook):
    """Owns the log of a run, and runs the validation that it lacks.

    A run has one, whichever hooks write to the log. It acts in
    ``before_train``, because a stop that the validation decides must hold
    before the next epoch begins. It comes last there, because a validation
    needs hooks that are ready (``CheckpointHook``, for example).
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.log = EventLog()
        self._then: List[Callable] = []

    @classmethod
    def of(cls, runner, then: Optional[Callable] = None) -> EventLog:
        """The log of a run, made by the first call. Call it in ``before_run``.

        Args:
            runner (Runner): The run.
            then (Callable, optional): Called with the runner before training,
                after the missed validation. Defaults to None.
        """
        hook = next((h for h in runner.hooks if isinstance(h, cls)), None)
        if hook is None:
            guard(runner)
            hook = cls()
            runner.register_hook(hook)
        if then is not None and then not in hook._then:
            hook._then.append(then)
        return hook.log

    def _close(self, runner) -> None:
        # A validation outside of training is not recorded.
        self.log.close()

    before_run = after_run = _close

    def before_train(self, runner) -> None:
        """Run the validation if it is missing."""
        run_missed_validation(runner, self.log.lacks)
        for then in self._then:
            then(runner)


def refuse_another(runner, hook: Hook) -> None:
    """Refuse a run with two hooks of one class: their records would mix.

    Raises:
        ValueError: If the run has another hook of this one's class.
    """
    kind = type(hook)
    if sum(isinstance(other, kind) for other in runner.hooks) > 1:
        raise ValueError(
            f'the run has more than one {kind.__name__} (look at custom_hooks '
            'and default_hooks): keep one')


def _is_due(runner) -> bool:
    """Whether the loop would have validated where it stands now."""
    if batches_trained(runner):  # in the middle of an epoch
        return False
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        now, end = loop.epoch, loop.max_epochs
    elif isinstance(loop, IterBasedTrainLoop):
        now, end = loop.iter, loop.max_iters
    else:  # nothing is known about the validations of other loops
        return False
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, now + 1)
                                      - 1]
    return now >= loop.val_begin and (now % interval == 0 or now == end)


def run_missed_validation(runner, is_missing: Callable[[int], bool]) -> bool:
    """Validate before a resumed run trains, if a validation is missing.

    It is missing if the run is resumed where its loop would have validated,
    and no validation of that iteration is on record. Then the validation loop
    runs, with all hooks, as in a run that was never cut.

    Args:
        runner (Runner): The runner of the training process.
        is_missing (Callable): Takes the number of complete iterations, and
            says whether their validation is not on record. It must give the
            same on all ranks.

    Returns:
        bool: Whether the validation was missing and has been run.
    """
    if (runner.iter == 0 or runner.val_loop is None
            or not is_missing(runner.iter) or not _is_due(runner)):
        return False
    runner.logger.info(
        f'A validation was due at iteration {runner.iter}, where the run is '
        'resumed, and there is no record of it (a checkpoint is saved before '
        'the validation that belongs to it): validating first.')
    runner.val_loop.run()
    return True
