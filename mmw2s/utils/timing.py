# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Timing: work on any device, without making the host wait, and a clock."""
import time
from collections import deque
from contextlib import contextmanager
from statistics import median
from typing import Any, Deque, Iterator, List, Optional, Tuple

import torch

__all__ = ['Clock', 'Stopwatch']


class Stopwatch:
    """Context manager that measures the milliseconds spent inside.

    On CUDA it records events, and reads them in the next step. By then they
    are over, so the host never waits.

    Args:
        window (int): Number of measurements of which :attr:`median_ms` is
            taken. Defaults to 50.
    """

    def __init__(self, window: int = 50) -> None:
        self._ms: Deque[float] = deque(maxlen=window)
        self._began: Any = None
        # Begin and end of each part of the latest measurement.
        self._pending: List[Tuple[Any, Any]] = []

    def __enter__(self) -> 'Stopwatch':
        self._read()
        self._pending = []
        self._began = _now()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._pending.append((self._began, _now()))

    @contextmanager
    def more(self) -> Iterator[None]:
        """Add what is spent inside to the latest measurement."""
        began = _now()
        yield
        self._pending.append((began, _now()))

    def _read(self) -> None:
        if not self._pending:
            return
        if isinstance(self._began, float):
            spent = [1000 * (end - begin) for begin, end in self._pending]
        elif all(end.query() for _, end in self._pending):
            spent = [begin.elapsed_time(end) for begin, end in self._pending]
        else:  # the device is not done yet
            return
        self._ms.append(sum(spent))
        self._pending = []

    @property
    def ms(self) -> Optional[float]:
        """Milliseconds of the latest finished measurement, None before it."""
        self._read()
        return self._ms[-1] if self._ms else None

    @property
    def median_ms(self) -> Optional[float]:
        """Median of the latest measurements, None before the first."""
        self._read()
        return median(self._ms) if self._ms else None


class Clock:
    """Adds up the seconds during which it was running.

    Args:
        seconds (float): Seconds that it begins with. Defaults to 0.
    """

    def __init__(self, seconds: float = 0.) -> None:
        self._total = seconds
        self._since: Optional[float] = None

    def start(self) -> None:
        """Start, or go on after a pause; no effect if it is running."""
        if self._since is None:
            self._since = time.perf_counter()

    def stop(self) -> None:
        """Pause; no effect if it is not running."""
        if self._since is not None:
            self._total += time.perf_counter() - self._since
            self._since = None

    def forget(self) -> None:
        """Pause, and do not count what has passed since the start."""
        self._since = None

    @property
    def running(self) -> bool:
        """Whether it is running."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        if self._since is None:
            return self._total
        return self._total + time.perf_counter() - self._since


def _now() -> Any:
    if not torch.cuda.is_available():
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
