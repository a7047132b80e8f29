# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import numpy as np
import torch.nn.functional as F
from torch import Tensor

__all__ = ['image_grid']


def image_grid(images: Tensor) -> np.ndarray:
    """Lay images out in rows, about as many as there are columns.

    Args:
        images (Tensor): uint8, shape (N, C, H, W), C being 1 or 3.

    Returns:
        np.ndarray: uint8, shape (rows * (H + 2), columns * (W + 2), 3); black
        between the images and where none is left.
    """
    images = F.pad(images, (0, 2, 0, 2))
    count, _, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    pixels = images.cpu().expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    grid = np.zeros((rows * columns, height, width, 3), np.uint8)
    grid[:count] = pixels
    grid = grid.reshape(rows, columns, height, width, 3)
    return grid.swapaxes(1, 2).reshape(rows * height, columns * width, 3)
