# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import AvgFactor, DistillationLoss, expand_weight


@MODELS.register_module()
class BoxKDLoss(DistillationLoss):
    r"""Smooth L1 of box deltas, weighted by the teacher's confidence.

    With the student's deltas :math:`s` and the teacher's :math:`t`,

    .. math::
        \frac{1}{N} \sum_a w_a \sum_d smoothL1(s_{ad} - t_{ad})

    where :math:`w_a` is the weight of anchor :math:`a`, usually the teacher's
    confidence. :math:`N` is ``avg_factor``, or the sum of the weights, at
    least 1, or the number of anchors if there are no weights. Because of "at
    least 1", a batch in which the teacher sees almost nothing counts little.

    Shapes: deltas (..., D); ``weight`` (...), one per anchor.

    Args:
        beta (float): Below this difference the loss is quadratic; 0 gives
            L1. Defaults to 0.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``beta`` or ``loss_weight`` is negative.

    Examples:
        >>> box_loss = BoxKDLoss()
        >>> student, teacher = torch.randn(2, 900, 4), torch.randn(2, 900, 4)
        >>> box_loss(student, teacher, weight=torch.rand(2, 900))  # a scalar
    """

    def __init__(self, beta: float = 0., loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        check_number('BoxKDLoss.beta', beta, at_least=0)
        self.beta = beta

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: None) -> Tensor:
        loss = F.smooth_l1_loss(
            student, teacher, reduction='none', beta=self.beta).sum(-1)
        if weight is None:
            total = loss.numel()
        else:
            weight = expand_weight(weight, loss.shape)
            loss = loss * weight
            total = weight.sum().clamp(min=1.)
        return loss.sum() / (total if avg_factor is None else avg_factor)
