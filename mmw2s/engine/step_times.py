# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from statistics import median
from typing import List, Optional

from mmengine.runner import Runner

__all__ = ['StepTimes', 'in_ms']


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

    def set_point(self, runner: Runner) -> None:
        """This is the point: look back, and begin to count."""
        seconds = runner.message_hub.log_scalars.get('train/time')
        if seconds is not None:
            latest = seconds.data[0][-self.window:]
            self.before = 1000 * median(latest.tolist())
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
