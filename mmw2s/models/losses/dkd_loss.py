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
    r"""KL divergence with separate weights for the true and other classes.

    From `Decoupled Knowledge Distillation
    <https://arxiv.org/abs/2203.08679>`_. The loss of one sample, with the
    logits :math:`z_s` of the student and :math:`z_t` of the teacher, is

    .. math::
        T^2 \, (\alpha \, KL(b_t \, || \, b_s) +
        \beta \, KL(\hat p_t \, || \, \hat p_s))

    With :math:`p = softmax(z / T)`, :math:`b` has two probabilities: that of
    the true class, and that of all other classes together. :math:`\hat p` is
    the distribution over the other classes alone; with two classes it has one
    class, and the second term is 0. The result is the sum over all samples
    divided by ``avg_factor``, or by their number, those of weight 0 included.

    Shapes: logits (..., C) with C >= 2; ``weight`` can be broadcast to (...);
    ``target`` has class indices (...), or soft labels (..., C), for which the
    class with the largest share is the true one.

    Args:
        alpha (float): Weight of the true class's term. Defaults to 1.0.
        beta (float): Weight of the other classes' term; the paper takes 0.5
            to 8 for classifiers. Defaults to 1.0.
        temperature (float): T, used if a call gives none. Defaults to 1.0.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``alpha`` or ``beta`` is negative, both are 0, or
            ``temperature`` is not positive; from a call, if the logits have
            one class or there are no labels.

    Examples:
        >>> dkd_loss = DKDLoss(beta=8., temperature=4.)
        >>> student, teacher = torch.randn(8, 10), torch.randn(8, 10)
        >>> target = torch.randint(10, (8, ))
        >>> dkd_loss(student, teacher, target=target)  # a scalar
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
        # Indices of the other classes: 0, ..., C - 1 without the true class.
        others = torch.arange(classes - 1, device=own.device)
        others = others + (others >= own)
        binary, rest = [], []
        for logits in (student, teacher):
            logits = logits / temperature
            log_z = logits.logsumexp(-1, keepdim=True)
            logits_of_others = logits.gather(-1, others)
            # log(1 - p) from the sum over the other classes, which is exact
            # even where p is near 1.
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
