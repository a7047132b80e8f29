# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
import os
import signal
import threading
import time
from functools import partial
from multiprocessing.sharedctypes import RawValue
from multiprocessing.util import Finalize
from typing import Any, Callable, Dict, Optional, Sequence, Union

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_reduce, barrier, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmw2s.engine.checkpoints import save_resumable
from mmw2s.engine.run_guard import guard, note_batches_trained
from mmw2s.utils.building import check_fields

__all__ = ['RunEnded', 'StopOnSignalHook', 'end_at_once']

#: Name of the checkpoint; a later one replaces it.
STOPPED = 'stopped.pth'

_PATIENCE = 5  # seconds; a signal repeated within them counts as one
_WORKERS_OUTLIVE = 120  # seconds


class RunEnded(SystemExit):
    """Ends a process with the exit code of a signal.

    Args:
        number (int): Number of the signal.
        told (bool): Whether the log says how to resume. Defaults to False.
    """

    def __init__(self, number: int, told: bool = False) -> None:
        super().__init__(128 + number)
        self.told = told


def end_at_once(signals: Sequence[str]) -> None:
    """Let signals raise :class:`RunEnded` at once.

    It is for the time before training, when there is nothing to save.

    Args:
        signals (Sequence[str]): Names of the signals.

    Raises:
        ValueError: If a name is no signal or the signal cannot be handled.
    """
    _check_signals('the signals', signals)

    def handler(number: int, frame: Any) -> None:
        raise RunEnded(number)

    for name in signals:
        signal.signal(getattr(signal, name), handler)


def _check_signals(owner: str, names: Sequence[Any]) -> None:
    for name in names:
        if name in ('SIGKILL', 'SIGSTOP') or \
                name not in list(signal.Signals.__members__):
            raise ValueError(
                f'{owner} should be names of signals that can be handled '
                f'(SIGTERM, SIGUSR1, ...), but got {name!r}')


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Ends a run after a signal, with a checkpoint to resume from.

    Slurm sends a signal before it preempts a job, and so do cloud services
    before they take a machine back. The run then finishes its step, writes
    ``stopped.pth`` to the work_dir, and exits with the code of the signal (143
    for SIGTERM). A resumed run continues at that iteration, even in the middle
    of an epoch: the first batches of the epoch are read but not trained on.
    If the signal comes at a validation, the run may end before or within it;
    the resumed run validates first.

    A second signal after more than five seconds has its usual effect.
    ``tools/train.py`` adds this hook to every run.

    Args:
        signals (Sequence[str]): Names of the signals. Defaults to
            ``('SIGTERM', )``.

    Raises:
        ValueError: If a name is no signal or the signal cannot be handled.

    Examples:
        >>> custom_hooks = [
        >>>     dict(type='StopOnSignalHook', signals=['SIGTERM', 'SIGUSR1'])]
    """

    # The last hook of a step.
    priority = 'LOWEST'

    def __init__(self,
                 signals: Union[str, Sequence[str]] = ('SIGTERM', ),
                 **unknown: Any) -> None:
        check_fields('StopOnSignalHook', unknown, ('signals', ))
        is_list = isinstance(signals, (list, tuple))
        self.signals = list(signals) if is_list else [signals]
        _check_signals('StopOnSignalHook.signals', self.signals)
        #: Number of the signal that was received.
        self.received: Optional[int] = None
        self._since = 0.
        self._before: Dict[int, Any] = {}
        self._agreement = _Agreement()
        self._saved_iter: Optional[int] = None

    def before_run(self, runner) -> None:
        """Let a resumed run skip the batches that are done."""
        guard(runner)

    def before_train(self, runner) -> None:
        """Let data loader workers ignore the signal for a while."""
        # Slurm sends the signal to all processes, workers included, but the
        # step that runs may still need data.
        ending = RawValue('b', 0)
        Finalize(None, setattr, args=(ending, 'value', 1), exitpriority=0)
        for loop in (runner.train_loop, runner.val_loop):
            loader = getattr(loop, 'dataloader', None)
            if isinstance(loader, DataLoader):
                loader.worker_init_fn = partial(_start_worker, self.signals,
                                                ending, loader.worker_init_fn)
        self._saved_iter = runner.iter if runner.iter > 0 else None
        self._agreement = _Agreement()
        self.received = None

    def before_train_epoch(self, runner) -> None:
        """Handle the signals from now on."""
        if self._before or not isinstance(
                runner.train_loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
            return
        if threading.current_thread() is not threading.main_thread():
            print_log(
                'StopOnSignalHook does nothing in this run: Python gives '
                'signals to the main thread alone.',
                logger='current',
                level=logging.WARNING)
            return
        for name in self.signals:
            number = getattr(signal, name)
            self._before[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame: Any) -> None:
        if self.received is None:
            self.received, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > _PATIENCE:
            self._give_back()
            signal.raise_signal(number)

    def _give_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Remember the iteration of the latest checkpoint."""
        if 'optimizer' in checkpoint:
            self._saved_iter = checkpoint.get('meta', {}).get('iter')

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """End the run if a rank has received a signal, on all ranks at once.
        """
        done = runner.iter + 1
        if not self._before or not self._agreement.is_due(
                done, self.received is not None):
            return
        loop = runner.train_loop
        if done >= runner.max_iters or _gradients_are_pending(runner):
            return
        if isinstance(loop, EpochBasedTrainLoop):
            if batch_idx + 1 == len(loop.dataloader):
                return  # the epoch is complete: its hooks may save next
            note_batches_trained(runner, batch_idx + 1)
        self._leave(runner, done)

    def before_val(self, runner) -> None:
        """End the run before a validation, which may take too long."""
        if self._before and self._agreement.anywhere(
                self.received is not None):
            self._leave(runner, runner.iter)

    def after_val_iter(self,
                       runner,
                       batch_idx: int,
                       data_batch: Any = None,
                       outputs: Optional[Sequence] = None) -> None:
        """End the run within a validation, if nothing has to be saved."""
        # Saving would be wrong here: EMAHook may have put the averaged
        # weights in the place of the trained ones.
        if self._before and self.received is not None and \
                get_world_size() == 1 and self._saved_iter == runner.iter:
            self._leave(runner, runner.iter)

    def after_run(self, runner) -> None:
        """Restore the earlier signal handlers."""
        self._give_back()

    def _leave(self, runner, done: int) -> None:
        number = self.received or signal.SIGTERM
        if self._saved_iter != done:
            save_resumable(runner, STOPPED, runner.epoch, done)
        # When one rank exits, the launcher ends the others, even while one
        # saves. So all wait here.
        barrier()
        print_log(
            f'{signal.Signals(number).name} was received: the run ends after '
            f'iteration {done}, of which there is a checkpoint in '
            f'{runner.work_dir}. Run the same command with --resume (or '
            'resume=True in the config) to go on from it.',
            logger='current',
            level=logging.WARNING)
        raise RunEnded(number, told=True)


def _gradients_are_pending(runner) -> bool:
    """Whether there are accumulated gradients, which are not saved."""
    wrapper = runner.optim_wrapper
    count = getattr(wrapper, '_accumulative_counts', 1)
    return getattr(wrapper, '_inner_count', 0) % count != 0


class _Agreement:
    """Lets all ranks end after the same iteration, without a device sync.

    A rank that gets the signal writes an iteration into the store of the
    process group, and all ranks read the store every few iterations. The
    iteration is one that no rank has passed: ranks are less than ``every``
    iterations apart, because gradients are averaged in each step.
    """

    every = 4
    _trainings = 0

    def __init__(self) -> None:
        _Agreement._trainings += 1
        self._key = f'w2s_ends_after_{_Agreement._trainings}'
        self._at: Optional[int] = None

    def is_due(self, done: int, received: bool) -> bool:
        """Whether all ranks end after this iteration.

        Args:
            done (int): Number of complete iterations.
            received (bool): Whether this rank has received a signal.
        """
        if get_world_size() == 1:
            return received
        if self._at is None:
            if received:
                self._at = int(self._store().compare_set(
                    self._key, '', str(done + 2 * self.every)))
            elif done % self.every == 0 and self._store().check([self._key]):
                self._at = int(self._store().get(self._key))
        return self._at is not None and done >= self._at

    @staticmethod
    def _store() -> Any:
        return torch_dist.distributed_c10d._get_default_store()

    def anywhere(self, received: bool) -> bool:
        """Whether any rank has received a signal; to be called on all ranks.
        """
        if get_world_size() == 1:
            return received
        flag = torch.tensor([float(received or self._at is not None)])
        all_reduce(flag, 'max')
        return bool(flag.item())


def _start_worker(signals: Sequence[str], ending: Any,
                  init: Optional[Callable], worker: int) -> None:
    """Let a data loader worker live on for a while after a signal.

    Args:
        signals (Sequence[str]): Names of the signals.
        ending (RawValue): Not 0 once the process that reads its data ends.
            Python then sends SIGTERM to the workers that are left, and waits.
        init (Callable, optional): The loader's own ``worker_init_fn``.
        worker (int): The worker's number.
    """
    for name in signals:
        signal.signal(getattr(signal, name), partial(_die_later, ending))
    if init is not None:
        init(worker)


def _die_later(ending: Any, number: int, frame: Any) -> None:
    if ending.value:
        os._exit(0)
    signal.alarm(_WORKERS_OUTLIVE)
