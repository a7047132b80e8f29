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
    r"""The teacher's order of the classes, the right one put first.

    From `PLD: A Choice-Theoretic List-Wise Knowledge Distillation
    <https://arxiv.org/abs/2506.12542>`_, the Plackett-Luce likelihood of an
    order, each choice weighted by the teacher's confidence in it:

    .. math::
        \sum_k q_{\pi_k} \, (-s_{\pi_k} + \log \sum_{l \ge k} e^{s_{\pi_l}}),
        \quad q = softmax(t / T)

    with the student's logits :math:`s`, the teacher's :math:`t`, and the
    order :math:`\pi`: the sample's own class, then the others by falling
    :math:`t`. Averaged over the samples, those of weight 0 included, or
    divided by ``avg_factor``. The first choice is the cross entropy with the
    label, so this is not 0 where the two models agree.

    Shapes: logits (..., C); ``weight`` broadcastable to (...); ``target``
    class indices (...), or soft labels (..., C), of which the class with the
    largest share is taken.

    Args:
        temperature (float): T, where a call gives none. Defaults to 1.0.
        loss_weight (float): Factor of the result. Defaults to 1.0.
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
