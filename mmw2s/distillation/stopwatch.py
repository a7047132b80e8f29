# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Timing work on any device without making the host wait for it."""
import time
from collections import deque
from statistics import median
from typing import Any, Deque, Optional

import torch

__all__ = ['Stopwatch']


class Stopwatch:
    """Context manager that measures the milliseconds spent inside.

    On CUDA it records a pair of events and reads the pair of the step before,
    which is over by then, so the host never waits.

    Args:
        window (int): Number of measurements of which :attr:`median_ms` is
            taken. Defaults to 50.
    """

    def __init__(self, window: int = 50) -> None:
        self._ms: Deque[float] = deque(maxlen=window)
        self._began: Any = None
        self._pending: Optional[tuple] = None

    def __enter__(self) -> 'Stopwatch':
        if torch.cuda.is_available():
            self._read()
            self._began = torch.cuda.Event(enable_timing=True)
            self._began.record()
        else:
            self._began = time.perf_counter()
        return self

    def __exit__(self, *exc: Any) -> None:
        if torch.cuda.is_available():
            ended = torch.cuda.Event(enable_timing=True)
            ended.record()
            self._pending = (self._began, ended)
        else:
            self._ms.append(1000 * (time.perf_counter() - self._began))

    def _read(self) -> None:
        if self._pending is not None and self._pending[1].query():
            self._ms.append(self._pending[0].elapsed_time(self._pending[1]))
            self._pending = None

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
