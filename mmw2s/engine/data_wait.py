# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Optional

from mmengine.hooks import Hook

from mmw2s.utils.timing import Clock

__all__ = ['DataWaitHook']


class DataWaitHook(Hook):
    """Measures how long training waits for the data loader.

    Its clock starts after all other hooks of a step. Who registers it stops
    the clock as the first of all hooks of the next step. (MMEngine's
    ``data_time`` counts other hooks, such as averaging weights, as loading
    data.)

    Attributes:
        clock (Clock): Runs while training waits.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.reset()

    def reset(self, train_seconds: float = 0.) -> None:
        """Start a new measurement.

        Args:
            train_seconds (float): The training clock now. Defaults to 0.
        """
        self._counted_from = train_seconds
        self.clock = Clock()

    def _begin(self, *args: Any, **kwargs: Any) -> None:
        self.clock.forget()
        self.clock.start()

    # If no step follows, for instance because a validation comes first, then
    # the time is no wait for data: the next start replaces this one.
    before_train_epoch = after_train_iter = after_val = _begin

    def share(self, train_seconds: float) -> Optional[float]:
        """Share of waiting in the training time since the last call.

        Args:
            train_seconds (float): The training clock now.

        Returns:
            float or None: From 0 to 1; None if no time has passed.
        """
        self.clock.forget()
        passed = train_seconds - self._counted_from
        waited = self.clock.seconds
        self.reset(train_seconds)
        return waited / passed if passed > 0 else None
