# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_integer, check_number
from .base import AvgFactor, DistillationLoss, expand_weight


@MODELS.register_module()
class KDLoss(DistillationLoss):
    r"""KL divergence of softened class probabilities.

    From `Distilling the Knowledge in a Neural Network
    <https://arxiv.org/abs/1503.02531>`_. The loss of one sample, with the
    logits :math:`z_t` of the teacher and :math:`z_s` of the student, is

    .. math::
        T^2 \, KL(softmax(z_t / T) \, || \, softmax(z_s / T))

    The factor :math:`T^2` keeps the gradient about as large at every
    temperature T. The result is the sum over all samples divided by
    ``avg_factor``, or by the number of samples, those of weight 0 included.

    Shapes: logits with the classes on the axis ``class_dim``, such as (N, C)
    or (B, C, H, W). Every position on the other axes is a sample. ``weight``
    can be broadcast to the shape of the samples.

    Args:
        temperature (float): T, used if a call gives none. The hook gives one
            that falls during training, unless the entry of ``distill`` sets
            this field. Defaults to 1.0.
        class_dim (int): Axis of the classes. Defaults to -1.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``temperature`` is not positive, ``class_dim`` is not an
            integer, or ``loss_weight`` is negative.

    Examples:
        >>> kd_loss = KDLoss(temperature=4.)
        >>> student, teacher = torch.randn(8, 10), torch.randn(8, 10)
        >>> kd_loss(student, teacher)  # a scalar
    """

    def __init__(self,
                 temperature: float = 1.0,
                 class_dim: int = -1,
                 loss_weight: float = 1.0) -> None:
        check_number('KDLoss.temperature', temperature, above=0)
        super().__init__(loss_weight, temperature)
        check_integer('KDLoss.class_dim', class_dim)
        self.class_dim = class_dim
        # On the last axis the classes are those of a classifier. On another
        # axis, such as the positions of a map, the user may compare anything.
        if class_dim == -1:
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
