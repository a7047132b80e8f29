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
    r"""How probabilities correlate, over classes and over samples.

    From `Knowledge Distillation from A Stronger Teacher
    <https://arxiv.org/abs/2205.10536>`_, with
    :math:`p = softmax(z / T)` of shape (N, C):

    .. math::
        T^2 \, (\beta \, mean_i (1 - r(p^S_{i \cdot}, p^T_{i \cdot})) +
        \gamma \, mean_c (1 - r(p^S_{\cdot c}, p^T_{\cdot c})))

    with Pearson's correlation :math:`r` over the classes of a sample, and
    over the samples of a class; where one of the two does not vary,
    :math:`1 - r` is taken as 1/2, where neither does as 0. The second term is
    taken over the samples of the call, so it depends on how a batch is split
    over accelerators. With ``avg_factor`` both are summed over the samples
    and divided by it.

    Shapes: logits (..., C), all other axes taken together as samples;
    ``weight`` broadcastable to (...) makes sums, means and correlations over
    the samples weighted ones.

    Args:
        beta (float): Weight of the correlation over classes. Defaults to 1.0.
        gamma (float): Weight of that over samples. Defaults to 1.0.
        temperature (float): T, where a call gives none. Defaults to 1.0.
        eps (float): Added to the sum of squares that a correlation divides
            by, which bounds the gradient of a student that gives all classes
            the same score, as some heads do at first. Defaults to 1e-8.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``beta`` or ``gamma`` is negative, or ``eps`` is not
            positive.
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
        each = self._apart(student, teacher, None, 1)
        samples = len(each)
        if weight is not None:
            each, samples = each * weight[:, 0], weight.sum()
        by_class = self._apart(student, teacher, weight, 0)
        loss = self.beta * each.sum() + self.gamma * samples * by_class.mean()
        if avg_factor is None:
            avg_factor = student.shape[0]
        return temperature**2 * loss / avg_factor

    def _apart(self, student: Tensor, teacher: Tensor,
               weight: Optional[Tensor], dim: int) -> Tensor:
        """1 - Pearson along an axis, as half a squared distance."""
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
