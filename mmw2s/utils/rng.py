# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Keeping the run's random numbers as they are."""
import random
from contextlib import contextmanager
from typing import Iterator

import numpy as np
import torch

__all__ = ['preserved_rng']


@contextmanager
def preserved_rng() -> Iterator[None]:
    """Give torch, numpy and python the random state back on leaving.

    Building and scoring a teacher draws random numbers; training must go on
    as if it had not.
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
