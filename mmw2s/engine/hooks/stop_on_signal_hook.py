# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
import signal
import threading
import time
from functools import partial
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

#: The name of its checkpoint, of which there is one.
STOPPED = 'stopped.pth'

_PATIENCE = 5  # seconds within which a repeated signal is the same one
_WORKERS_OUTLIVE = 120


class RunEnded(SystemExit):
    """Ends a process with the code of the signal that asked for it.

    Args:
        number (int): The signal's.
        told (bool): Whether the log says how to go on. Defaults to False.
    """

    def __init__(self, number: int, told: bool = False) -> None:
        super().__init__(128 + number)
        self.told = told


def end_at_once(signals: Sequence[str]) -> None:
    """Let signals raise :class:`RunEnded`: before training, there is nothing
    to be saved.

    Raises:
        ValueError: For what is no signal, or none that can be handled.
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
    """Ends a run that is told to end: after the step, with a checkpoint.

    Slurm before it preempts a job, and clouds before they take a machine
    back, send a signal first. The step is finished, ``stopped.pth`` is
    written to the work_dir, and the process exits with the code of the signal
    (143 for SIGTERM). Resumed, the run goes on at that iteration; in the
    middle of an epoch too, where the first batches of the epoch are read
    again and not trained on. A signal that comes while the run validates ends
    it before that validation, or within; it is made up for.

    A second signal more than five seconds later ends the process as if the
    hook were not there. ``tools/train.py`` has this hook without being asked.

    Args:
        signals (Sequence[str]): Names of the signals. Defaults to
            ``('SIGTERM', )``.

    Raises:
        ValueError: For what is no signal, or none that can be handled.
    """

    # Of all hooks of a step the last one.
    priority = 'LOWEST'

    def __init__(self,
                 signals: Union[str, Sequence[str]] = ('SIGTERM', ),
                 **unknown: Any) -> None:
        check_fields('StopOnSignalHook', unknown, ('signals', ))
        is_list = isinstance(signals, (list, tuple))
        self.signals = list(signals) if is_list else [signals]
        _check_signals('StopOnSignalHook.signals', self.signals)
        #: The number of the signal that has come.
        self.received: Optional[int] = None
        self._since = 0.
        self._before: Dict[int, Any] = {}
        self._agreement = _Agreement()
        self._saved_iter: Optional[int] = None

    def before_run(self, runner) -> None:
        """Provide for a run that is resumed in the middle of an epoch."""
        guard(runner)

    def before_train(self, runner) -> None:
        """Keep the signal from the workers that load data."""
        # Slurm sends it to all processes of a step.
        for loop in (runner.train_loop, runner.val_loop):
            loader = getattr(loop, 'dataloader', None)
            if isinstance(loader, DataLoader):
                loader.worker_init_fn = partial(_start_worker, self.signals,
                                                loader.worker_init_fn)
        self._saved_iter = runner.iter if runner.iter > 0 else None
        self._agreement = _Agreement()
        self.received = None

    def before_train_epoch(self, runner) -> None:
        """From here on there is something to be saved."""
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
        """Note of which iteration there is a checkpoint."""
        if 'optimizer' in checkpoint:
            self._saved_iter = checkpoint.get('meta', {}).get('iter')

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Leave if asked to, in agreement with all ranks."""
        done = runner.iter + 1
        if not self._before or not self._agreement.is_due(
                done, self.received is not None):
            return
        loop = runner.train_loop
        if done >= runner.max_iters or _gradients_are_pending(runner):
            return
        if isinstance(loop, EpochBasedTrainLoop):
            if batch_idx + 1 == len(loop.dataloader):
                return  # the epoch's own checkpoint comes next
            note_batches_trained(runner, batch_idx + 1)
        self._leave(runner, done)

    def before_val(self, runner) -> None:
        """Leave before a validation, which may take longer than there is."""
        if self._before and self._agreement.anywhere(
                self.received is not None):
            self._leave(runner, runner.iter)

    def after_val_iter(self,
                       runner,
                       batch_idx: int,
                       data_batch: Any = None,
                       outputs: Optional[Sequence] = None) -> None:
        """Leave within a validation where nothing needs to be saved."""
        # Else not: an averaged model is in the place of the trained one.
        if self._before and self.received is not None and \
                get_world_size() == 1 and self._saved_iter == runner.iter:
            self._leave(runner, runner.iter)

    def after_run(self, runner) -> None:
        """Leave signals as they were found."""
        self._give_back()

    def _leave(self, runner, done: int) -> None:
        number = self.received or signal.SIGTERM
        if self._saved_iter != done:
            save_resumable(runner, STOPPED, runner.epoch, done)
        barrier()  # or a launcher ends the rank that saves with the others
        print_log(
            f'{signal.Signals(number).name} was received: the run ends after '
            f'iteration {done}, of which there is a checkpoint in '
            f'{runner.work_dir}. Run the same command with --resume (or '
            'resume=True in the config) to go on from it.',
            logger='current',
            level=logging.WARNING)
        raise RunEnded(number, told=True)


def _gradients_are_pending(runner) -> bool:
    """Whether gradients are accumulated, which no checkpoint holds."""
    wrapper = runner.optim_wrapper
    count = getattr(wrapper, '_accumulative_counts', 1)
    return getattr(wrapper, '_inner_count', 0) % count != 0


class _Agreement:
    """Lets all ranks leave after the same iteration.

    The rank that gets the signal writes into the process group's store an
    iteration that no rank can have passed; all look there now and then. Ranks
    are less than ``every`` iterations apart, because each step's gradients are
    averaged. No step waits for a device.
    """

    every = 4
    _trainings = 0

    def __init__(self) -> None:
        _Agreement._trainings += 1
        self._key = f'w2s_ends_after_{_Agreement._trainings}'
        self._at: Optional[int] = None

    def is_due(self, done: int, received: bool) -> bool:
        """Whether all ranks leave after this iteration."""
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
        """Whether any rank has received a signal; all of them must ask."""
        if get_world_size() == 1:
            return received
        flag = torch.tensor([float(received or self._at is not None)])
        all_reduce(flag, 'max')
        return bool(flag.item())


def _start_worker(signals: Sequence[str], init: Optional[Callable],
                  worker: int) -> None:
    """Let a worker that loads data outlive the signal for a while."""
    for name in signals:
        signal.signal(getattr(signal, name), _die_later)
    if init is not None:
        init(worker)


def _die_later(number: int, frame: Any) -> None:
    signal.alarm(_WORKERS_OUTLIVE)
