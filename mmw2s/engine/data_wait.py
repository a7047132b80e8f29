# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import time
from typing import Any, Optional

from mmengine.hooks import Hook

__all__ = ['DataWaitHook']


class DataWaitHook(Hook):
    """Adds up the seconds in which training waits for its next batch.

    It begins to wait after all other hooks of a step; MMEngine's ``data_time``
    counts some of them, such as averaging weights, as loading data. Who
    registers it calls :meth:`end` as the first of all hooks of the next step.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.reset()

    def reset(self, train_seconds: float = 0.) -> None:
        """Count from here on, with the training clock at this."""
        self._counted_from = train_seconds
        self._seconds = 0.
        self._since: Optional[float] = None

    def _begin(self, *args: Any, **kwargs: Any) -> None:
        self._since = time.perf_counter()

    # What follows a step or an epoch without a further step is no waiting for
    # data: a wait that does not come to its end is forgotten.
    before_train_epoch = after_train_iter = after_val = _begin

    def end(self) -> None:
        """The batch is there."""
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since

    def share(self, train_seconds: float) -> Optional[float]:
        """Of the training time since the last call, the share of waiting.

        Args:
            train_seconds (float): What the training clock shows.

        Returns:
            float or None: From 0 to 1; None where no time has passed.
        """
        passed, waited = train_seconds - self._counted_from, self._seconds
        self.reset(train_seconds)
        return waited / passed if passed > 0 else None
