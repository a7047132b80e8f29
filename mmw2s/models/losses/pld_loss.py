# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import (AvgFactor, DistillationLoss, expand_weight,
                   label_of_each_sample)


@MODELS.register_module()
class PLDLoss(DistillationLoss):
    r"""Ranking of the classes: the true class first, then the teacher's order.

    From `PLD: A Choice-Theoretic List-Wise Knowledge Distillation
    <https://arxiv.org/abs/2506.12542>`_. It is the negative log likelihood of
    a ranking in the Plackett-Luce model, which chooses one class after the
    other. Each choice is weighted by the teacher's confidence in the class.
    The loss of one sample is

    .. math::
        \sum_k q_{\pi_k} \, (-s_{\pi_k} + \log \sum_{l \ge k} e^{s_{\pi_l}}),
        \quad q = softmax(t / T)

    with the logits :math:`s` of the student and :math:`t` of the teacher. The
    ranking :math:`\pi` starts with the true class; the other classes follow
    from the largest :math:`t` to the smallest. The result is the sum over all
    samples divided by ``avg_factor``, or by their number, those of weight 0
    included. The first choice is the cross entropy with the label, so the
    loss is not 0 when the two models agree.

    Shapes: logits (..., C); ``weight`` can be broadcast to (...); ``target``
    has class indices (...), or soft labels (..., C), for which the class with
    the largest share is the true one.

    Args:
        temperature (float): T, used if a call gives none. Defaults to 1.0.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``temperature`` is not positive or ``loss_weight`` is
            negative; from a call, if there are no labels.

    Examples:
        >>> pld_loss = PLDLoss()
        >>> student, teacher = torch.randn(8, 10), torch.randn(8, 10)
        >>> target = torch.randint(10, (8, ))
        >>> pld_loss(student, teacher, target=target)  # a scalar
    """

    needs_target = True
    compares = 'softmax scores'

    def __init__(self,
                 temperature: float = 1.0,
                 loss_weight: float = 1.0) -> None:
        check_number('PLDLoss.temperature', temperature, above=0)
        super().__init__(loss_weight, temperature)

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float, target: Tensor) -> Tensor:
        own = label_of_each_sample(target, student).unsqueeze(-1)
        order = teacher.scatter(-1, own, float('inf')).argsort(
            -1, descending=True)
        student = student.gather(-1, order)
        confidence = F.softmax(teacher / temperature, -1).gather(-1, order)
        left = student.flip(-1).logcumsumexp(-1).flip(-1)
        loss = (confidence * (left - student)).sum(-1)
        if avg_factor is None:
            avg_factor = loss.numel()
        if weight is not None:
            loss = loss * expand_weight(weight, loss.shape)
        return loss.sum() / avg_factor
