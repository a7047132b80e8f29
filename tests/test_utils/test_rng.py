# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import random

import numpy as np
import pytest
import torch

from mmw2s.utils.rng import preserved_rng


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def seed():
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)


def test_random_numbers_go_on_as_if_nothing_had_been_drawn():
    seed()
    expected = [draw(), draw()]
    seed()
    found = [draw()]
    with preserved_rng():
        draw()
        torch.manual_seed(99)
        np.random.seed(99)
        random.seed(99)
    found.append(draw())
    assert found == expected


def test_random_numbers_go_on_after_an_error_too():
    seed()
    expected = draw()
    seed()
    with pytest.raises(RuntimeError):
        with preserved_rng():
            draw()
            raise RuntimeError
    assert draw() == expected
