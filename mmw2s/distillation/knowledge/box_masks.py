# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['box_masks']


def box_masks(boxes: Sequence[Tensor], image_size: Sequence[int],
              size: Sequence[int]) -> Tensor:
    """Weights of the locations in boxes, and of those in none.

    The formulas are those of :class:`FocalFeatures`. A box is cut at the
    border of the image. The host does not wait for the device.

    Args:
        boxes (Sequence[Tensor]): Of each image, boxes (x1, y1, x2, y2) in
            pixels of the batch, shape (N, 4). N may be 0.
        image_size (Sequence[int]): Height and width of the batch's images,
            with their padding.
        size (Sequence[int]): Height H and width W of the maps.

    Returns:
        Tensor: float32, shape (B, 2, H, W): the weights of the foreground,
        then those of the background.

    Examples:
        >>> boxes = [torch.tensor([[8., 8., 40., 24.]]), torch.zeros(0, 4)]
        >>> box_masks(boxes, image_size=(64, 64), size=(8, 8)).shape
        torch.Size([2, 2, 8, 8])
    """
    # Each image has a box of no area too, so that none is without.
    corners = torch.cat([F.pad(each.float(), (0, 0, 0, 1)) for each in boxes])
    columns, rows = (
        _covered(corners[:, i::2] * size[1 - i] / image_size[1 - i],
                 size[1 - i]) for i in (0, 1))
    area = rows.sum(1) * columns.sum(1)
    rows = rows / area.clamp(min=1)[:, None]
    counts = [len(each) + 1 for each in boxes]
    # Image by image, because B N H W numbers may be too many.
    foreground = torch.stack([
        (row[:, :, None] * column[:, None]).amax(0)
        for row, column in zip(rows.split(counts), columns.split(counts))
    ])
    background = (foreground == 0).float()
    background /= background.sum((1, 2), keepdim=True).clamp(min=1)
    return torch.stack([foreground, background], 1)


def _covered(edges: Tensor, cells: int) -> Tensor:
    """Whether spans (N, 2), in cells, overlap each cell, shape (N, cells)."""
    at = torch.arange(cells, device=edges.device)
    return (edges[:, :1] < at + 1) & (edges[:, 1:] > at)
