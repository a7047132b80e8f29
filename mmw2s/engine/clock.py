# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import time
from typing import Optional

__all__ = ['Clock']


class Clock:
    """Adds up the seconds during which it was running.

    Args:
        seconds (float): What it shows at first.
    """

    def __init__(self, seconds: float = 0.) -> None:
        self._total = seconds
        self._since: Optional[float] = None

    def start(self) -> None:
        """Go on; nothing happens if it is running."""
        if self._since is None:
            self._since = time.perf_counter()

    def stop(self) -> None:
        """Pause; nothing happens if it is not running."""
        self._total, self._since = self.seconds, None

    @property
    def running(self) -> bool:
        return self._since is not None

    @property
    def seconds(self) -> float:
        if self._since is None:
            return self._total
        return self._total + time.perf_counter() - self._since
