# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import AvgFactor, DistillationLoss, location_weight


@MODELS.register_module()
class AttentionLoss(DistillationLoss):
    r"""Where in an image the features are large.

    From `Paying More Attention to Attention
    <https://arxiv.org/abs/1612.03928>`_. The attention of maps :math:`x` is
    :math:`Q(x) = mean_c |x_c|^p` at each location. The loss of one image is

    .. math::
        \frac{1}{2} \, \Big\| \frac{Q(s)}{\|Q(s)\|} -
        \frac{Q(t)}{\|Q(t)\|} \Big\|^2

    over its locations. (The paper writes the distance, its code takes the
    square.) The result is the sum over the images, divided by ``avg_factor``
    or by the number of images, those of weight 0 included.

    Channels are not compared one by one, so their numbers may differ
    (``adapter='none'`` of the knowledge).

    Shapes: maps (B, C, H, W). ``weight`` is a mask, or weights of the
    locations, by which the attention is multiplied; it can be broadcast to
    (B, 1, H, W).

    Args:
        power (float): p. Defaults to 2.
        loss_weight (float): Factor of the result. The paper's code has
            1000 / (H W), about 16 for maps of 8 x 8. Defaults to 1.0.

    Raises:
        ValueError: If ``power`` is below 1 or ``loss_weight`` is negative.

    Examples:
        >>> attention_loss = AttentionLoss()
        >>> student = torch.randn(2, 256, 20, 30)
        >>> teacher = torch.randn(2, 64, 20, 30)
        >>> attention_loss(student, teacher)  # a scalar
    """

    compares = 'feature maps'
    compares_channels = False
    leaves_free = 'scale, and sign and order of the channels'

    def __init__(self, power: float = 2., loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        check_number('AttentionLoss.power', power, at_least=1)
        self.power = power

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: None) -> Tensor:
        weight = location_weight(student, weight)
        student, teacher = (
            self._attention(x, weight) for x in (student, teacher))
        loss = 0.5 * (student - teacher).square().sum()
        return loss / (len(student) if avg_factor is None else avg_factor)

    def _attention(self, maps: Tensor, weight: Optional[Tensor]) -> Tensor:
        # The mean as 1 keeps eps small beside it, whatever the features'
        # scale; the length of maps of zeros has no gradient otherwise.
        attention = maps.abs().pow(self.power).mean(1, keepdim=True)
        if weight is not None:
            attention = attention * weight
        attention = attention / attention.mean(
            (1, 2, 3), keepdim=True).clamp(min=1e-12)
        length = attention.square().sum((1, 2, 3), keepdim=True)
        return attention / (length + 1e-12).sqrt()
