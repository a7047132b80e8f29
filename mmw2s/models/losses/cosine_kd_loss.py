# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_choice, check_number
from .base import AvgFactor, DistillationLoss, location_weight

_DIMS = dict(channels=(1, ), locations=(2, 3))


@MODELS.register_module()
class CosineKDLoss(DistillationLoss):
    r"""Squared distance of unit vectors, which is their cosine.

    With a vector :math:`s` of the student and :math:`t` of the teacher,

    .. math::
        \frac{1}{2} \, \| n(s) - n(t) \|^2 \, = \, 1 - cos(s, t)

    where :math:`n(x) = x / \sqrt{\|x\|^2 + eps}`. The channels of a location
    are a vector in `STFPM <https://arxiv.org/abs/2103.04257>`_ and in `REPA
    <https://arxiv.org/abs/2410.06940>`_ (where locations are tokens); the
    locations of a channel are one in `CAT-KD
    <https://arxiv.org/abs/2304.12777>`_. The result is the mean over all
    vectors. With ``avg_factor``, it is their weighted sum divided by it, in
    which all channels of an image together count as one.

    Shapes: maps (B, C, H, W). ``weight`` is a mask, or weights of the
    locations, and can be broadcast to (B, 1, H, W).

    Args:
        vectors (str): What a vector is made of: ``'channels'`` or
            ``'locations'``. Defaults to ``'channels'``.
        eps (float): Added to the squared length, so that vectors of zeros
            have finite gradients. Defaults to 1e-6.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``eps`` is not positive or ``loss_weight`` is negative.

    Examples:
        >>> cosine_loss = CosineKDLoss()
        >>> student = torch.randn(2, 256, 20, 30)
        >>> teacher = torch.randn(2, 256, 20, 30)
        >>> cosine_loss(student, teacher)  # a scalar
    """

    compares = 'feature maps'

    def __init__(self,
                 vectors: str = 'channels',
                 eps: float = 1e-6,
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        check_choice('CosineKDLoss.vectors', vectors, _DIMS)
        check_number('CosineKDLoss.eps', eps, above=0)
        self.vectors, self.eps = vectors, eps
        self.leaves_free = 'scale of each location' \
            if vectors == 'channels' else 'scale'

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: None) -> Tensor:
        if weight is None:
            weight = student.new_ones(())
        weight = location_weight(student, weight)
        if self.vectors == 'locations':
            # Inside the lengths too; an image without weight does not count.
            student, teacher = (x * weight.sqrt() for x in (student, teacher))
            weight = (weight.amax((2, 3), keepdim=True) > 0).to(student)
        student, teacher = (self._unit(x) for x in (student, teacher))
        dims = _DIMS[self.vectors]
        loss = 0.5 * (student - teacher).square().sum(dims, keepdim=True)
        loss = (loss.mean(1, keepdim=True) * weight).sum()
        return loss / (
            weight.sum().clamp(
                min=self.eps) if avg_factor is None else avg_factor)

    def _unit(self, x: Tensor) -> Tensor:
        length = x.square().sum(_DIMS[self.vectors], keepdim=True)
        return x * torch.rsqrt(length + self.eps)
