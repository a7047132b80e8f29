# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Make up for the validation that a run cut short no longer had.

MMEngine saves the checkpoint of an epoch *before* the validation of that
epoch, and a resumed run goes on with the next epoch. A run that was cut in
between therefore lacks one validation, and with it whatever is decided there.
"""
from bisect import bisect
from typing import Callable, Iterable

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from .run_guard import batches_trained, guard

__all__ = [
    'run_missed_validation', 'MissedValidationHook', 'provide_for_resuming'
]


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


def run_missed_validation(runner, recorded_iters: Iterable[int]) -> bool:
    """Validate now if training stands at a validation nobody has recorded.

    It is called when a resumed run is about to train: if the run was resumed
    where its loop would have validated, and no validation of that iteration
    is on record, the validation loop is run, with all hooks as in a run that
    was never cut.

    Args:
        runner (Runner): The runner of the training process.
        recorded_iters (Iterable[int]): Iterations (completed ones) of the
            validations on record. They must be equal on all ranks.

    Returns:
        bool: Whether the validation was missing and has been run.
    """
    if (runner.iter == 0 or runner.val_loop is None
            or runner.iter in set(recorded_iters) or not _is_due(runner)):
        return False
    runner.logger.info(
        f'A validation was due at iteration {runner.iter}, where the run is '
        'resumed, and there is no record of it (a checkpoint is saved before '
        'the validation that belongs to it): validating first.')
    runner.val_loop.run()
    return True


class MissedValidationHook(Hook):
    """Runs a missed validation once all hooks are ready, before any epoch.

    Hooks register it in ``before_run``. It stands last of all, so that every
    other ``before_train`` has run (``CheckpointHook`` needs that), and it acts
    in ``before_train``, because a stop decided by the validation must hold
    before the loop begins another epoch.

    Args:
        recorded_iters (Callable): Returns the iterations on record.
    """

    priority = 'LOWEST'

    def __init__(self, recorded_iters: Callable[[], Iterable[int]]) -> None:
        self.recorded_iters = recorded_iters

    def before_train(self, runner) -> None:
        """Run the validation if it is missing."""
        run_missed_validation(runner, self.recorded_iters())


def provide_for_resuming(
        runner,
        recorded_iters: Callable[[], Iterable[int]]) -> MissedValidationHook:
    """Register what a run needs that may be resumed, in ``before_run``.

    Args:
        runner (Runner): The run.
        recorded_iters (Callable): Returns the iterations of the validations
            on record.
    """
    guard(runner)
    missed = MissedValidationHook(recorded_iters)
    runner.register_hook(missed)
    return missed
