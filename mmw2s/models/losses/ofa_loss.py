# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import (AvgFactor, DistillationLoss, expand_weight,
                   label_of_each_sample)


@MODELS.register_module()
class OFALoss(DistillationLoss):
    r"""Cross entropy that trusts the teacher more in the right class.

    From `One-for-All: Bridge the Gap Between Heterogeneous Architectures in
    Knowledge Distillation <https://arxiv.org/abs/2310.19444>`_, for a teacher
    of another architecture. With the probabilities :math:`p` of the teacher
    and :math:`q` of the student, both at the temperature T, and :math:`y_c`
    as 1 for the right class and 0 for the others, the loss of one sample is

    .. math::
        - \sum_c ((p_c + y_c)^{eps} - y_c) \, \log q_c

    The result is the sum over all samples divided by ``avg_factor``, or by
    the number of samples, those of weight 0 included. It is not 0 where the
    two agree. (The paper also lets stages of the student give logits, by
    branches that are trained beside it; here only the student's own logits
    are compared.)

    Shapes: logits (..., C), ``target`` as :class:`DKDLoss`. ``weight`` can be
    broadcast to the shape of the samples.

    Args:
        eps (float): The exponent; 1 gives a plain cross entropy with the
            teacher's probabilities. Defaults to 1.5.
        temperature (float): T, used if a call gives none. Defaults to 1.0.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``eps`` is below 1, ``temperature`` is not positive, or
            ``loss_weight`` is negative.

    Examples:
        >>> ofa_loss = OFALoss()
        >>> student, teacher = torch.randn(8, 10), torch.randn(8, 10)
        >>> target = torch.randint(10, (8, ))
        >>> ofa_loss(student, teacher, target=target)  # a scalar
    """

    needs_target = True
    compares = 'softmax scores'

    def __init__(self,
                 eps: float = 1.5,
                 temperature: float = 1.0,
                 loss_weight: float = 1.0) -> None:
        check_number('OFALoss.temperature', temperature, above=0)
        super().__init__(loss_weight, temperature)
        check_number('OFALoss.eps', eps, at_least=1)
        self.eps = eps

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float, target: Tensor) -> Tensor:
        label = label_of_each_sample(target, student)
        right = F.one_hot(label, student.shape[-1]).to(student)
        trusted = ((teacher / temperature).softmax(-1) + right)**self.eps
        loss = -((trusted - right) *
                 (student / temperature).log_softmax(-1)).sum(-1)
        if avg_factor is None:
            avg_factor = loss.numel()
        if weight is not None:
            loss = loss * expand_weight(weight, loss.shape)
        return loss.sum() / avg_factor
