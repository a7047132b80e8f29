# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import (AvgFactor, DistillationLoss, expand_weight,
                   label_of_each_sample)


@MODELS.register_module()
class DKDLoss(DistillationLoss):
    r"""Knowledge distillation with target and other classes weighted apart.

    From `Decoupled Knowledge Distillation
    <https://arxiv.org/abs/2203.08679>`_:

    .. math::
        T^2 \, (\alpha \, KL(b_T \, || \, b_S) +
        \beta \, KL(\hat p_T \, || \, \hat p_S))

    where :math:`p = softmax(z / T)`, :math:`b` is the probability of the
    sample's own class against that of all others together, and
    :math:`\hat p` the distribution over the others alone. Averaged over the
    samples, those of weight 0 included, or divided by ``avg_factor``. Of two
    classes the other one is certain, and the second term 0.

    Shapes: logits (..., C) with C >= 2; ``weight`` broadcastable to (...);
    ``target`` class indices (...), or soft labels (..., C), of which the
    class with the largest share is taken.

    Args:
        alpha (float): Weight of the own class's term. Defaults to 1.0.
        beta (float): Weight of the other classes' term; the paper takes 0.5
            to 8 for classifiers. Defaults to 1.0.
        temperature (float): T, where a call gives none. Defaults to 1.0.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``alpha`` or ``beta`` is negative.
    """

    needs_target = True
    compares = 'softmax scores'

    def __init__(self,
                 alpha: float = 1.0,
                 beta: float = 1.0,
                 temperature: float = 1.0,
                 loss_weight: float = 1.0) -> None:
        check_number('DKDLoss.temperature', temperature, above=0)
        super().__init__(loss_weight, temperature)
        check_number('DKDLoss.alpha', alpha, at_least=0)
        check_number('DKDLoss.beta', beta, at_least=0)
        if alpha == beta == 0:
            raise ValueError('DKDLoss.alpha and beta should not both be 0: '
                             'the loss would be 0')
        self.alpha, self.beta = alpha, beta

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float, target: Tensor) -> Tensor:
        classes = student.shape[-1]
        if classes < 2:
            raise ValueError('DKDLoss needs at least two classes, but got '
                             f'logits of shape {tuple(student.shape)}')
        own = label_of_each_sample(target, student).unsqueeze(-1)
        # Where the others are: 0, ..., C - 1 without the own class.
        others = torch.arange(classes - 1, device=own.device)
        others = others + (others >= own)
        binary, rest = [], []
        for logits in (student, teacher):
            logits = logits / temperature
            log_z = logits.logsumexp(-1, keepdim=True)
            logits_of_others = logits.gather(-1, others)
            # log(1 - p) from the others' own sum: exact where p is near 1.
            binary.append(
                torch.cat([
                    logits.gather(-1, own),
                    logits_of_others.logsumexp(-1, keepdim=True)
                ], -1) - log_z)
            rest.append(F.log_softmax(logits_of_others, -1))
        loss = self.alpha * _kl(*binary) + self.beta * _kl(*rest)
        if avg_factor is None:
            avg_factor = loss.numel()
        if weight is not None:
            loss = loss * expand_weight(weight, loss.shape)
        return temperature**2 * loss.sum() / avg_factor


def _kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) over the last axis, of log probabilities."""
    return F.kl_div(
        student, teacher, reduction='none', log_target=True).sum(-1)
