# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The scalars of a distillation in the message hub, which are logged."""
from statistics import median
from typing import List, Optional

from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner

from mmw2s.distillation.terms import PREFIX
from mmw2s.records.files import FIRST

__all__ = ['LoggedScalars', 'StepTimes', 'in_ms']


class LoggedScalars:
    """The scalars of one hook: its losses, and where it stands.

    They exist only while its distillation is on.

    Args:
        name (str): Name of the hook.

    Attributes:
        group (str): What the log puts before the names of its entries.
        state (str): Prefix of what tells where it stands.
    """

    def __init__(self, name: str = FIRST) -> None:
        self.group = '' if name == FIRST else f'{name}/'
        self.state = f'train/{name}/'

    def _is_loss(self, key: str) -> bool:
        own = f'train/{PREFIX}{self.group}'
        return key.startswith(own) and '/' not in key[len(own):]

    def drop(self, hub: MessageHub, entry: Optional[str] = None) -> None:
        """Remove them from the hub.

        Otherwise the logger would go on printing their last values, and a
        checkpoint would bring them back.

        Args:
            hub (MessageHub): The message hub of the run.
            entry (str, optional): Key of the only entry whose scalars are
                removed. Defaults to None: all.
        """
        for key in list(hub.log_scalars):
            if self._is_loss(key) or key.startswith(self.state):
                if entry is None or key in self._of_entry(entry):
                    _forget(hub, key)

    def _of_entry(self, entry: str) -> List[str]:
        name = entry[len(PREFIX):].rpartition('/')[2]
        return [
            f'train/{entry}', f'{self.state}strength_{name}',
            f'{self.state}temperature_{name}'
        ]

    def restart_smoothed(self,
                         hub: MessageHub,
                         steps: int,
                         loss_is_a_sum: bool = True) -> None:
        """Restart the averages of losses and gradient norms after the stop.

        The logger shows means over a window of steps. After the stop, the
        window would still contain steps with distillation. All losses restart
        together, so that ``loss`` is the sum of the others in every line.

        Args:
            hub (MessageHub): The message hub of the run.
            steps (int): Number of steps in the hub since the stop; their
                losses are kept. -1 means that the stop came at the end of a
                step that is not logged yet. The losses of that step are kept,
                and the distillation losses, still in the hub, are subtracted
                from ``loss``.
            loss_is_a_sum (bool): Whether ``loss`` is the sum of all losses,
                those of the distillation included. Defaults to True.
        """
        scalars = hub.log_scalars
        kd_loss = sum(buffer.current() for key, buffer in scalars.items()
                      if self._is_loss(key)) if steps < 0 else 0.
        for key in [k for k in scalars if self._is_smoothed(k)]:
            # With gradient accumulation there are fewer gradient norms than
            # steps, so it is not known which of them are of these steps.
            kept = 0 if 'loss' not in key else abs(steps)
            if not kept:
                _forget(hub, key)
                continue
            values, counts = (
                part[-kept:].copy() for part in scalars[key].data)
            if key == 'train/loss' and loss_is_a_sum:
                values -= kd_loss
            scalars[key] = HistoryBuffer(values.tolist(), counts.tolist())

    def _is_smoothed(self, key: str) -> bool:
        return key.startswith('train/') and not (
            self._is_loss(key) or key.startswith(f'train/{FIRST}')) and (
                'loss' in key or 'grad_' in key)


def _forget(hub: MessageHub, key: str) -> None:
    del hub.log_scalars[key]
    # A resumed run warns of each key here that has no value.
    hub._resumed_keys.pop(key, None)


class StepTimes:
    """How long a step took up to a point of the run, and takes after it.

    Medians of the steps that MMEngine's ``IterTimerHook`` has timed, data
    loading included.

    Attributes:
        window (int): Number of steps on either side.
        before (float, optional): Milliseconds up to the point. None before it
            is set, or in a run without that hook.
    """

    window = 50

    def __init__(self) -> None:
        self.before: Optional[float] = None
        self._after: Optional[List[float]] = None

    def set_point(self, runner: Runner, turn: int = 1) -> None:
        """This is the point: look back, and begin to count.

        Args:
            runner (Runner): The run.
            turn (int): Number of steps that are taken together, because not
                all of them have the teacher. Defaults to 1.
        """
        seconds = runner.message_hub.log_scalars.get('train/time')
        if seconds is not None:
            latest = seconds.data[0][-self.window:]
            turn = min(turn, len(latest))
            turns = latest[len(latest) % turn:].reshape(-1, turn).mean(1)
            self.before = 1000 * median(turns.tolist())
            self._after = []

    def after_step(self, runner: Runner) -> Optional[float]:
        """Count a step; the milliseconds after the point, once they are known.

        Returns:
            float or None: The median, once, when the window is full.
        """
        if self._after is None:
            return None
        seconds = runner.message_hub.get_scalar('train/time').current()
        self._after.append(1000 * seconds)
        if len(self._after) < self.window:
            return None
        after, self._after = median(self._after), None
        return after


def in_ms(value: Optional[float]) -> str:
    """Milliseconds in words, for the log."""
    return 'an unknown time' if value is None else f'{value:.0f} ms'
