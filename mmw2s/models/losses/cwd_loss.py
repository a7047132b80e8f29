# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import AvgFactor, DistillationLoss, location_weight


@MODELS.register_module()
class CWDLoss(DistillationLoss):
    r"""KL divergence of each channel's distribution over the locations.

    From `Channel-wise Knowledge Distillation for Dense Prediction
    <https://arxiv.org/abs/2011.13256>`_. With the student's maps :math:`s` and
    the teacher's :math:`t`, the loss of one image is

    .. math::
        \frac{T^2}{C} \sum_c KL(softmax(t_c / T) \, || \, softmax(s_c / T))

    where the softmax is over the locations of channel :math:`c`. The result
    is the sum over the images divided by ``avg_factor``, or by their number.

    Shapes: maps (B, C, H, W). ``weight`` is a mask that can be broadcast to
    (B, 1, H, W): the softmax leaves out locations where it is 0. The loss of
    an image without any other location is 0.

    Args:
        tau (float): T, used if a call gives none. Defaults to 1.0.
        loss_weight (float): Factor of the result. The paper takes 5 to 10
            for detectors. Defaults to 1.0.

    Raises:
        ValueError: If ``tau`` is not positive or ``loss_weight`` is negative.

    Examples:
        >>> cwd_loss = CWDLoss(loss_weight=5.)
        >>> student = torch.randn(2, 256, 20, 30)
        >>> teacher = torch.randn(2, 256, 20, 30)
        >>> cwd_loss(student, teacher)  # a scalar
    """

    compares = 'feature maps'
    leaves_free = 'mean'

    def __init__(self, tau: float = 1.0, loss_weight: float = 1.0) -> None:
        check_number('CWDLoss.tau', tau, above=0)
        super().__init__(loss_weight, tau)

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float) -> Tensor:
        weight = location_weight(student, weight)
        batch, channels = student.shape[:2]
        maps = [student / temperature, teacher / temperature]
        if weight is not None:
            masked = weight == 0
            # -inf would give NaN, and the smallest number itself would
            # overflow when two of them are subtracted.
            least = torch.finfo(student.dtype).min / 2
            maps = [x.masked_fill(masked, least) for x in maps]
        log_s, log_t = (F.log_softmax(x.flatten(2), -1) for x in maps)
        loss = F.kl_div(log_s, log_t, reduction='sum', log_target=True)
        avg_factor = batch if avg_factor is None else avg_factor
        return temperature**2 * loss / (channels * avg_factor)
