# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Shows the teacher another image of the batch: a control, not a method."""
from typing import Any

from torch import Tensor

__all__ = ['permuted']


def permuted(values: Any) -> Any:
    """What belongs to each image of a batch, moved on to the next image.

    The last one comes first, so that no image keeps its own.

    Args:
        values (Any): A tensor whose first dimension is the batch, or a list
            or tuple with one item an image. Anything else, and a tensor
            without dimensions, is returned as it is.

    Raises:
        ValueError: For a batch of one image.
    """
    is_tensor = isinstance(values, Tensor) and values.dim() > 0
    if not is_tensor and not isinstance(values, (list, tuple)):
        return values
    if len(values) == 1:
        raise ValueError(
            'teacher.permute shows the teacher another image of the batch, '
            'but this batch has one image alone: use a larger '
            'train_dataloader.batch_size, or train_dataloader.drop_last=True')
    return values.roll(1, 0) if is_tensor else [values[-1], *values[:-1]]
