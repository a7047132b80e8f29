# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Optional

from mmengine.hooks import Hook

from mmw2s.utils.timing import Clock

__all__ = ['DataWaitHook']


class DataWaitHook(Hook):
    """Measures how long training waits for the data loader.

    A wait starts after the last hook of a step and ends before the first hook
    of the next one. MMEngine's ``data_time`` starts earlier: it counts other
    hooks, such as averaging weights, as loading data.

    A hook cannot be both the last of one step and the first of the next. So
    the owner of this hook stops :attr:`clock` from a hook that runs first.

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
