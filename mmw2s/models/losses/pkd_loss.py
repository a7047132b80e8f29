# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional, Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_flag, check_number
from .base import AvgFactor, DistillationLoss, location_weight


@MODELS.register_module()
class PKDLoss(DistillationLoss):
    r"""Correlation of feature maps, which does not depend on their scale.

    From `PKD: General Distillation Framework for Object Detectors via Pearson
    Correlation Coefficient <https://arxiv.org/abs/2207.02039>`_. With the
    student's maps :math:`s` and the teacher's :math:`t`,

    .. math::
        \frac{1}{2} \, mean((n(s) - n(t))^2) \, = \, 1 - Pearson(s, t)

    where :math:`n(x) = (x - mean) / \sqrt{var + eps}` standardizes every
    channel. The mean is over images, channels and locations. With
    ``avg_factor``, the mean over the channels is summed over images and
    locations, and divided by it.

    Shapes: maps (B, C, H, W). ``weight`` is a mask, or weights of the
    locations, and can be broadcast to (B, 1, H, W). It weights mean, variance
    and the final mean.

    Args:
        per_image (bool): If True, each image is standardized on its own, and
            the loss does not depend on how a batch is split over devices. If
            False, the whole batch is standardized together, as in the paper's
            code. Defaults to True.
        eps (float): Added to the variance, so that constant maps have finite
            gradients. The scale starts to matter for maps whose variance is
            not far above ``eps``. Defaults to 1e-6.
        loss_weight (float): Factor of the result. The paper takes 6 to 10
            for detectors. Defaults to 1.0.

    Raises:
        ValueError: If ``eps`` is not positive or ``loss_weight`` is negative.

    Examples:
        >>> pkd_loss = PKDLoss(loss_weight=10.)
        >>> student = torch.randn(2, 256, 20, 30)
        >>> teacher = torch.randn(2, 256, 20, 30)
        >>> pkd_loss(student, teacher)  # a scalar
    """

    compares = 'feature maps'
    leaves_free = 'mean and scale'

    def __init__(self,
                 per_image: bool = True,
                 eps: float = 1e-6,
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        check_flag('PKDLoss.per_image', per_image)
        check_number('PKDLoss.eps', eps, above=0)
        self.dims = (2, 3) if per_image else (0, 2, 3)
        self.eps = eps

    def _standardized(self, maps: Sequence[Tensor],
                      weight: Optional[Tensor]) -> List[Tensor]:
        """Each of the maps with mean 0 and variance 1 in every channel."""
        if weight is not None:
            total = weight.sum(self.dims, keepdim=True)
            # An image whose weights are all 0 does not count in the loss, but
            # its mean and variance must be finite.
            share = weight / total.masked_fill(total == 0, 1.)
        results = []
        for x in maps:
            if weight is None:
                centered = x - x.mean(self.dims, keepdim=True)
                var = centered.square().mean(self.dims, keepdim=True)
            else:
                centered = x - (share * x).sum(self.dims, keepdim=True)
                var = (share * centered.square()).sum(self.dims, keepdim=True)
            results.append(centered * torch.rsqrt(var + self.eps))
        return results

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: None) -> Tensor:
        weight = location_weight(student, weight)
        student, teacher = self._standardized((student, teacher), weight)
        loss = (student - teacher).square().mean(1, keepdim=True)
        if weight is None:
            total = loss.numel()
        else:
            loss = loss * weight
            total = weight.sum().clamp(min=self.eps)
        return 0.5 * loss.sum() / (total if avg_factor is None else avg_factor)
