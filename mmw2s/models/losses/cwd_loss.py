# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import AvgFactor, DistillationLoss, expand_weight, refuse_map


@MODELS.register_module()
class CWDLoss(DistillationLoss):
    r"""Where each channel looks, compared as distributions over locations.

    From `Channel-wise Knowledge Distillation for Dense Prediction
    <https://arxiv.org/abs/2011.13256>`_:

    .. math::
        \frac{T^2}{C} \sum_c KL(softmax(t_c / T) \, || \, softmax(s_c / T))

    with the softmax over the locations of channel :math:`c`, averaged over
    the images (summed and divided by ``avg_factor`` if that is given).

    Shapes: maps (B, C, H, W); ``weight``, broadcastable to (B, 1, H, W), is
    a mask: the softmax is taken over the locations where it is not 0. An
    image masked altogether counts as 0.

    Args:
        tau (float): T, where a call gives none. Defaults to 1.0.
        loss_weight (float): Factor of the result. The paper takes 5 to 10
            for detectors. Defaults to 1.0.
    """

    compares = 'feature maps'

    def __init__(self, tau: float = 1.0, loss_weight: float = 1.0) -> None:
        check_number('CWDLoss.tau', tau, above=0)
        super().__init__(loss_weight, tau)

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float) -> Tensor:
        if student.dim() != 4:
            refuse_map(student)
        batch, channels, height, width = student.shape
        maps = [student / temperature, teacher / temperature]
        if weight is not None:
            masked = expand_weight(weight, (batch, 1, height, width)) == 0
            # Not -inf, which gives NaN; half, so that no difference overflows.
            least = torch.finfo(student.dtype).min / 2
            maps = [x.masked_fill(masked, least) for x in maps]
        log_s, log_t = (F.log_softmax(x.flatten(2), -1) for x in maps)
        loss = F.kl_div(log_s, log_t, reduction='sum', log_target=True)
        avg_factor = batch if avg_factor is None else avg_factor
        return temperature**2 * loss / (channels * avg_factor)
