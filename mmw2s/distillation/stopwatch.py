# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Timing work on any device without making the host wait for it."""
import time
from typing import Any, Optional

import torch

__all__ = ['Stopwatch']


class Stopwatch:
    """Context manager that measures the milliseconds spent inside.

    On CUDA it records a pair of events and reads the pair of the step before,
    which is over by then, so the host never waits.
    """

    def __init__(self) -> None:
        self._ms: Optional[float] = None
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
            self._ms = 1000 * (time.perf_counter() - self._began)

    def _read(self) -> None:
        if self._pending is not None and self._pending[1].query():
            self._ms = self._pending[0].elapsed_time(self._pending[1])
            self._pending = None

    @property
    def ms(self) -> Optional[float]:
        """Milliseconds of the latest finished measurement, None before it."""
        self._read()
        return self._ms
