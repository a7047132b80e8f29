# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Shows the teacher a batch at a part of its size."""
import copy
import math
from typing import Any, Sequence, Tuple

import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from mmengine.utils import is_seq_of
from torch import Tensor

__all__ = ['shrink']

# Metainfo of an image: height and width.
_SIZES = ('img_shape', 'pad_shape', 'batch_input_shape')
# Of mmseg: left, right, top, bottom.
_PADDINGS = ('padding_size', 'img_padding_size')


def shrink(inputs: Tensor, data_samples: Any,
           scale: float) -> Tuple[Tensor, Any]:
    """A batch at a part of its height and width, and its data samples.

    A teacher's forward costs about ``scale ** 2`` of what it costs at full
    size. Each pixel is the mean of those it covers. Sides are rounded up, as
    strided convolutions do, so at half the size the maps of a teacher's level
    have the size of the student's next coarser level.

    Args:
        inputs (Tensor): Normalized images, shape (B, C, H, W).
        data_samples (Any): Their data samples, which are not changed.
        scale (float): Above 0, at most 1.

    Returns:
        Tuple[Tensor, Any]: Images of shape (B, C, ceil(scale * H),
        ceil(scale * W)), and copies of the samples that name sizes in
        them, so that predicted boxes are scaled to the original image. Their
        annotations stay as they are.
    """
    if scale == 1:
        return inputs, data_samples
    size = inputs.shape[-2:]
    smaller = [math.ceil(scale * side) for side in size]
    shown = F.interpolate(inputs, smaller, mode='area')
    if not is_seq_of(data_samples, BaseDataElement):
        return shown, data_samples
    factors = [small / side for small, side in zip(smaller, size)]
    return shown, [_sized(sample, factors) for sample in data_samples]


def _sized(sample: BaseDataElement, factors: Sequence[float]) -> Any:
    """A sample of an image whose height and width are multiplied."""
    sized = copy.copy(sample)
    changed = {
        name: (*(math.ceil(side * factor)
                 for side, factor in zip(sample.get(name), factors)),
               *sample.get(name)[2:])
        for name in _SIZES if sample.get(name) is not None
    }
    changed.update({
        name:
        tuple(
            round(side * factors[1 - i // 2])
            for i, side in enumerate(sample.get(name)))
        for name in _PADDINGS if sample.get(name) is not None
    })
    given = sample.get('scale_factor')
    if given is not None:  # width, height, and perhaps both once more
        changed['scale_factor'] = tuple(value * factors[1 - i % 2]
                                        for i, value in enumerate(given))
    sized.set_metainfo(changed)
    return sized
