# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_integer, check_number
from .base import AvgFactor, DistillationLoss, expand_weight


@MODELS.register_module()
class KDLoss(DistillationLoss):
    r"""Knowledge distillation of softmax scores.

    From `Distilling the Knowledge in a Neural Network
    <https://arxiv.org/abs/1503.02531>`_:

    .. math::
        T^2 \, KL(softmax(z_T / T) \, || \, softmax(z_S / T))

    summed over the classes and averaged over everything else. Without
    ``avg_factor`` the average counts all samples, those of weight 0 too.

    Shapes: logits with the classes on the axis ``class_dim``; ``weight``
    broadcastable to their shape without that axis.

    Args:
        temperature (float): T, where a call gives none. An entry of the
            hook's ``distill`` in which it is not set gives one that falls.
            Defaults to 1.0.
        class_dim (int): Axis of the classes. Defaults to -1.
        loss_weight (float): Factor of the result. Defaults to 1.0.
    """

    def __init__(self,
                 temperature: float = 1.0,
                 class_dim: int = -1,
                 loss_weight: float = 1.0) -> None:
        check_number('KDLoss.temperature', temperature, above=0)
        super().__init__(loss_weight, temperature)
        check_integer('KDLoss.class_dim', class_dim)
        self.class_dim = class_dim
        if class_dim == -1:  # elsewhere, of whatever its user knows
            self.compares = 'softmax scores'

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float) -> Tensor:
        loss = F.kl_div(
            F.log_softmax(student / temperature, self.class_dim),
            F.log_softmax(teacher / temperature, self.class_dim),
            reduction='none',
            log_target=True).sum(self.class_dim)
        if avg_factor is None:
            avg_factor = loss.numel()
        if weight is not None:
            loss = loss * expand_weight(weight, loss.shape)
        return temperature**2 * loss.sum() / avg_factor
