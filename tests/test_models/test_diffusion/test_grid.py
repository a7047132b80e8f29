# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import torch

from mmw2s.models.diffusion.grid import image_grid


def test_images_lie_in_rows_and_the_rest_is_black():
    images = torch.arange(1, 6, dtype=torch.uint8).view(5, 1, 1, 1)
    grid = image_grid(images.expand(5, 3, 2, 2))
    assert grid.shape == (8, 12, 3) and grid.dtype == np.uint8
    assert not grid[2:4].any() and not grid[:, 2:4].any()
    assert grid[::4, ::4, 0].tolist() == [[1, 2, 3], [4, 5, 0]]


def test_grey_images_become_colored():
    grid = image_grid(torch.full((1, 1, 4, 4), 7, dtype=torch.uint8))
    assert grid.shape == (6, 6, 3) and (grid[:4, :4] == 7).all()
