# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Optional, Sequence, Tuple

from mmengine.registry import MODELS
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mmw2s.utils.fields import check_flag, check_number
from .base import AvgFactor, DistillationLoss, location_weight


@MODELS.register_module()
class PKDLoss(DistillationLoss):
    r"""Correlation of feature maps, which does not depend on their scale.

    From `PKD: General Distillation Framework for Object Detectors via Pearson
    Correlation Coefficient <https://arxiv.org/abs/2207.02039>`_. With the
    student's maps :math:`s` and the teacher's :math:`t`,

    .. math::
        \frac{1}{2} \, mean((n(s) - n(t))^2) \, = \, 1 - Pearson(s, t)

    where :math:`n(x) = (x - mean) / \sqrt{var + eps}` standardizes every
    channel. The mean is over images, channels and locations. With
    ``avg_factor``, the mean over the channels is summed over images and
    locations, and divided by it.

    Shapes: maps (B, C, H, W). ``weight`` is a mask, or weights of the
    locations, and can be broadcast to (B, 1, H, W). It weights mean, variance
    and the final mean.

    Args:
        per_image (bool): If True, each image is standardized on its own, and
            the loss does not depend on how a batch is split over devices. If
            False, the whole batch is standardized together, as in the paper's
            code. Defaults to True.
        eps (float): Added to the variance, so that constant maps have finite
            gradients. The scale starts to matter for maps whose variance is
            not far above ``eps``. Defaults to 1e-6.
        loss_weight (float): Factor of the result. The paper takes 6 to 10
            for detectors. Defaults to 1.0.

    Raises:
        ValueError: If ``eps`` is not positive or ``loss_weight`` is negative.

    Examples:
        >>> pkd_loss = PKDLoss(loss_weight=10.)
        >>> student = torch.randn(2, 256, 20, 30)
        >>> teacher = torch.randn(2, 256, 20, 30)
        >>> pkd_loss(student, teacher)  # a scalar
    """

    compares = 'feature maps'
    leaves_free = 'mean and scale'

    def __init__(self,
                 per_image: bool = True,
                 eps: float = 1e-6,
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        check_flag('PKDLoss.per_image', per_image)
        check_number('PKDLoss.eps', eps, above=0)
        self.dims = (2, 3) if per_image else (0, 2, 3)
        self.eps = eps

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: None) -> Tensor:
        weight = location_weight(student, weight)
        share = counts = None
        if weight is not None:
            counts = weight.sum(self.dims, keepdim=True)
            # An image whose weights are all 0 does not count in the loss, but
            # its mean and variance must be finite.
            share = weight / counts.masked_fill(counts == 0, 1.)
        var_s, var_t, cov = _Moments.apply(student, teacher, share, self.dims)
        scale_s, scale_t = ((var + self.eps).rsqrt() for var in (var_s, var_t))
        # The mean of (n(s) - n(t))^2, multiplied out, and 0 for equal maps.
        loss = scale_s * (var_s * scale_s - cov * scale_t) + \
            scale_t * (var_t * scale_t - cov * scale_s)
        if counts is None:
            loss, total = loss.mean(), student[:, 0].numel()
            return 0.5 * loss * (1 if avg_factor is None else total /
                                 avg_factor)
        loss = (loss.mean(1, keepdim=True) * counts).sum()
        if avg_factor is None:
            avg_factor = counts.sum().clamp(min=self.eps)
        return 0.5 * loss / avg_factor


def _mean(x: Tensor, share: Optional[Tensor], dims: Sequence[int]) -> Tensor:
    """The mean, weighted by shares that add up to 1."""
    if share is None:
        return x.mean(dims, keepdim=True)
    return (x * share).sum(dims, keepdim=True)


class _Moments(Function):
    r"""Variances and covariance of the channels of two maps.

    By autograd, each step of the way from the maps to these few numbers would
    keep a copy of the maps. With weights :math:`w` of the locations that add
    up to 1, and :math:`c(x) = x - mean`, the derivatives are

    .. math::
        \frac{d \, var}{ds} = 2 w \, c(s) , \qquad
        \frac{d \, cov}{ds} = w \, c(t) ,

    as :math:`w \, c` adds up to 0, and so nothing is left of the mean's own.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor,
                share: Optional[Tensor],
                dims: Sequence[int]) -> Tuple[Tensor, Tensor, Tensor]:
        mean_s, mean_t = (_mean(x, share, dims) for x in (student, teacher))
        ctx.save_for_backward(student, teacher, share, mean_s, mean_t)
        s, t = student - mean_s, teacher - mean_t
        cov = _mean(s * t, share, dims)
        var_s, var_t = (_mean(x.square_(), share, dims) for x in (s, t))
        ctx.mark_non_differentiable(var_t)
        return var_s, var_t, cov

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_var: Tensor, _: Tensor,
                 grad_cov: Tensor) -> Tuple[Optional[Tensor], ...]:
        student, teacher, share, mean_s, mean_t = ctx.saved_tensors
        if share is None:  # of each location the same
            share = mean_s.numel() / student.numel()
        grad = (student - mean_s).mul_(2 * share * grad_var)
        grad.addcmul_(teacher - mean_t, share * grad_cov)
        return grad, None, None, None
