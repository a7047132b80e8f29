# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

from mmengine.registry import MODELS
from torch import Tensor

from .base import AvgFactor, DistillationLoss, expand_weight


@MODELS.register_module()
class MSEKDLoss(DistillationLoss):
    r"""Mean squared error, as in `FitNets <https://arxiv.org/abs/1412.6550>`_.

    With the student's elements :math:`s_i` and the teacher's :math:`t_i`,

    .. math::
        \frac{1}{N} \sum_i w_i (s_i - t_i)^2

    where :math:`N` is ``avg_factor``, or the number of elements, those of
    weight 0 included. The loss grows with the square of the features' scale.
    :class:`PKDLoss` does not depend on the scale.

    Shapes: any; ``weight`` can be broadcast to it.

    Args:
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``loss_weight`` is negative.

    Examples:
        >>> mse_loss = MSEKDLoss()
        >>> mse_loss(torch.randn(8, 16), torch.randn(8, 16))  # a scalar
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: None) -> Tensor:
        loss = (student - teacher).square()
        if weight is not None:
            loss = loss * expand_weight(weight, loss.shape)
        if avg_factor is None:
            avg_factor = loss.numel()
        return loss.sum() / avg_factor
