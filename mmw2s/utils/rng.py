# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Keep the random state of a run."""
import random
from contextlib import contextmanager
from typing import Iterator

import numpy as np
import torch

__all__ = ['preserved_rng']


@contextmanager
def preserved_rng() -> Iterator[None]:
    """Restore the random states of torch, NumPy and Python at the end.

    Building and scoring a teacher draws random numbers. With this, training
    draws the same numbers as without a teacher.

    Examples:
        >>> with preserved_rng():
        >>>     torch.rand(3)
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()
    devices = [torch.cuda.current_device()
               ] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
