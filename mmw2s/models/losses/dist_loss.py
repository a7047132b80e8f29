# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import AvgFactor, DistillationLoss, expand_weight


@MODELS.register_module()
class DISTLoss(DistillationLoss):
    r"""Correlation of class probabilities, over classes and over samples.

    From `Knowledge Distillation from A Stronger Teacher
    <https://arxiv.org/abs/2205.10536>`_. With the logits :math:`z_s` of the
    student and :math:`z_t` of the teacher, and their probabilities
    :math:`p = softmax(z / T)` of shape (N, C),

    .. math::
        T^2 \, (\beta \, mean_i (1 - r(p_s[i, :], p_t[i, :])) +
        \gamma \, mean_c (1 - r(p_s[:, c], p_t[:, c])))

    where :math:`r` is Pearson's correlation. The first term is over the
    classes of each sample, the second over the samples of each class. If one
    of the two does not vary, :math:`1 - r` is taken as 1/2; if neither does,
    as 0. With ``avg_factor`` both terms are summed over the samples and
    divided by it. The second term needs all samples of a call, so it depends
    on how a batch is split over devices.

    Shapes: logits (..., C), where every position on the other axes is a
    sample. ``weight`` can be broadcast to (...); with it, sums, means and
    correlations over samples are weighted.

    Args:
        beta (float): Weight of the correlation over classes. Defaults to 1.0.
        gamma (float): Weight of the correlation over samples. Defaults to 1.0.
        temperature (float): T, used if a call gives none. Defaults to 1.0.
        eps (float): Added to the sum of squares that a correlation divides
            by. It bounds the gradient if the student gives all classes the
            same score, as some heads do at first. Defaults to 1e-8.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``beta`` or ``gamma`` is negative, both are 0, or
            ``eps`` or ``temperature`` is not positive.

    Examples:
        >>> dist_loss = DISTLoss(temperature=4.)
        >>> student, teacher = torch.randn(8, 10), torch.randn(8, 10)
        >>> dist_loss(student, teacher)  # a scalar
    """

    compares = 'softmax scores'

    def __init__(self,
                 beta: float = 1.0,
                 gamma: float = 1.0,
                 temperature: float = 1.0,
                 eps: float = 1e-8,
                 loss_weight: float = 1.0) -> None:
        check_number('DISTLoss.temperature', temperature, above=0)
        super().__init__(loss_weight, temperature)
        check_number('DISTLoss.beta', beta, at_least=0)
        check_number('DISTLoss.gamma', gamma, at_least=0)
        check_number('DISTLoss.eps', eps, above=0)
        if beta == gamma == 0:
            raise ValueError('DISTLoss.beta and gamma should not both be 0: '
                             'the loss would be 0')
        self.beta, self.gamma, self.eps = beta, gamma, eps

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float) -> Tensor:
        if weight is not None:
            weight = expand_weight(weight, student.shape[:-1]).reshape(-1, 1)
        student, teacher = (
            F.softmax(x.flatten(0, -2) / temperature, -1)
            for x in (student, teacher))
        each = self._difference(student, teacher, None, 1)
        samples = len(each)
        if weight is not None:
            each, samples = each * weight[:, 0], weight.sum()
        by_class = self._difference(student, teacher, weight, 0)
        loss = self.beta * each.sum() + self.gamma * samples * by_class.mean()
        if avg_factor is None:
            avg_factor = student.shape[0]
        return temperature**2 * loss / avg_factor

    def _difference(self, student: Tensor, teacher: Tensor,
                    weight: Optional[Tensor], dim: int) -> Tensor:
        """1 - r along an axis: half the squared distance of unit vectors."""
        unit = []
        for x in (student, teacher):
            if weight is None:
                x = x - x.mean(dim, keepdim=True)
            else:
                total = weight.sum()
                share = weight / total.masked_fill(total == 0, 1.)
                x = (x - (share * x).sum(dim, keepdim=True)) * weight.sqrt()
            squares = x.square().sum(dim, keepdim=True)
            unit.append(x * torch.rsqrt(squares + self.eps))
        return 0.5 * (unit[0] - unit[1]).square().sum(dim)
