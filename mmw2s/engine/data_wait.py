# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import time
from typing import Any, Optional

from mmengine.hooks import Hook

__all__ = ['DataWaitHook']


class DataWaitHook(Hook):
    """Measures how long training waits for the data loader.

    A wait starts after the last hook of a step and ends before the first hook
    of the next one. MMEngine's ``data_time`` starts earlier: it counts other
    hooks, such as averaging weights, as loading data.

    A hook cannot be both the last of one step and the first of the next. So
    the owner of this hook calls :meth:`end` from a hook that runs first.
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
        self._seconds = 0.
        self._since: Optional[float] = None

    def _begin(self, *args: Any, **kwargs: Any) -> None:
        self._since = time.perf_counter()

    # If no step follows, for instance because a validation comes first, then
    # the time is no wait for data: the next start replaces this one.
    before_train_epoch = after_train_iter = after_val = _begin

    def end(self) -> None:
        """End the wait: the batch has been loaded."""
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since

    def share(self, train_seconds: float) -> Optional[float]:
        """Share of waiting in the training time since the last call.

        Args:
            train_seconds (float): The training clock now.

        Returns:
            float or None: From 0 to 1; None if no time has passed.
        """
        passed, waited = train_seconds - self._counted_from, self._seconds
        self.reset(train_seconds)
        return waited / passed if passed > 0 else None
