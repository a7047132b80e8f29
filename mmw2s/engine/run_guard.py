# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Protects the work_dir and the data of a run, for all hooks of mmw2s."""
import logging
from typing import Any, Optional

import mmengine
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop

from mmw2s.records.lock import hold, release

__all__ = [
    'RunGuardHook', 'batches_trained', 'guard', 'note_batches_trained',
    'refuse_other_epochs'
]

# In the message hub, which goes into checkpoints.
_TRAINED = 'w2s_batches_trained'


def guard(runner) -> None:
    """Register a :class:`RunGuardHook`, once a run.

    The hooks of mmw2s call it in their ``before_run``.
    """
    if not any(isinstance(hook, RunGuardHook) for hook in runner.hooks):
        runner.register_hook(RunGuardHook())


class RunGuardHook(Hook):
    """Lets one run at a time use a work_dir, and skips data on resume.

    A run that is resumed in the middle of an epoch does not train again on the
    batches that it has trained on in that epoch.

    Raises:
        RuntimeError: Before training, if another process uses the work_dir.
        ValueError: Before training, if the run is resumed in the middle of an
            epoch that has another number of batches now.
    """

    # It has to come before other hooks write into the work_dir.
    priority = 'HIGHEST'

    def before_train(self, runner) -> None:
        """Lock the work_dir, and let a resumed run skip data."""
        _hold_on_all_ranks(runner.work_dir)
        if runner.iter > 0:
            _warn_of_data_begun_anew(runner.train_loop)
            _skip_batches(runner)
            changed = _other_epochs(runner)
            if changed is not None:
                print_log(
                    f'{changed[0].upper()}{changed[1:]}. MMEngine counts on '
                    'from there, so the epochs and samples in the records of '
                    'this run are wrong from now on.',
                    logger='current',
                    level=logging.WARNING)

    def after_run(self, runner) -> None:
        """Unlock the work_dir."""
        release(runner.work_dir)


def refuse_other_epochs(runner) -> None:
    """Refuse to go on distilling where an epoch has another length now.

    Raises:
        ValueError: The message says what to do.
    """
    changed = _other_epochs(runner)
    if changed is not None:
        raise ValueError(
            f'{changed}. Strength and stop of the distillation go by '
            'iterations, and would be those of another part of the run: '
            'resume with the same, or begin a run of its own from the weights '
            '(load_from)')


def _other_epochs(runner) -> Optional[str]:
    """That a resumed run has epochs of another length; None if it has not.

    MMEngine goes on with the old number of iterations, so all that counts by
    iterations, as schedules and records, is at another place of the run.
    """
    loop = runner.train_loop
    if not isinstance(loop, EpochBasedTrainLoop) or not loop.epoch:
        return None
    length = len(loop.dataloader)
    if loop.epoch * length <= loop.iter < (loop.epoch + 1) * length:
        return None
    return (f'the resumed run has done {loop.iter} iterations by the end of '
            f'epoch {loop.epoch}, but an epoch has {length} now: the number '
            'of devices, the batch size or the data differ from those it was '
            'saved with')


def note_batches_trained(runner, batches: int) -> None:
    """Store in the message hub how many batches of the epoch are done.

    The message hub is saved in checkpoints.
    """
    runner.message_hub.update_info(
        _TRAINED, [batches, len(runner.train_dataloader)])


def batches_trained(runner) -> int:
    """Number of batches of the current epoch that were trained on before the
    run was resumed; 0 if it was not resumed in the middle of an epoch."""
    return runner.message_hub.runtime_info.get(_TRAINED, [0])[0]


def _hold_on_all_ranks(work_dir: str) -> None:
    box: list = [None, None]
    if is_main_process():
        try:
            box[0] = hold(work_dir)
        except RuntimeError as error:
            box[1] = str(error)
    broadcast_object_list(box)
    unlocked, refused = box
    if refused is not None:
        raise RuntimeError(refused)
    if unlocked is not None:
        print_log(
            f'The work_dir {work_dir} cannot be kept from other runs, because '
            f'{unlocked}: make sure that no other run writes to it.',
            logger='current',
            level=logging.WARNING)


def _warn_of_data_begun_anew(loop: Any) -> None:
    if getattr(loop, 'fast_forward_on_resume', False):
        print_log(
            'fast_forward_on_resume=True in train_cfg does the opposite of '
            f'its name in this MMEngine ({mmengine.__version__}): the resumed '
            'run begins its data anew, and trains again on those of its first '
            f'{loop.iter} iterations. Leave it out, and they are skipped.',
            logger='current',
            level=logging.WARNING)


def _skip_batches(runner) -> None:
    """Skip the batches of a half-finished epoch that are done already."""
    done, total = runner.message_hub.runtime_info.get(_TRAINED, [0, 0])
    loop = runner.train_loop
    if not done or not isinstance(loop, EpochBasedTrainLoop):
        return
    if len(loop.dataloader) != total:
        raise ValueError(
            f'the checkpoint was saved after {done} of the {total} batches of '
            f'epoch {loop.epoch + 1}, but the epoch has '
            f'{len(loop.dataloader)} batches now: resume with the data, the '
            'batch size and the number of devices that it was saved with')
    runner.logger.info(
        f'The run goes on in the middle of epoch {loop.epoch + 1}: its first '
        f'{done} of {total} batches are read, and not trained on again.')
    run_iter = loop.run_iter

    def rest_of_the_epoch(idx: int, data_batch: Any) -> None:
        if idx < done:
            return
        del loop.run_iter  # the method of the class is called from now on
        runner.message_hub.update_info(_TRAINED, [0, 0])
        run_iter(idx, data_batch)

    loop.run_iter = rest_of_the_epoch
