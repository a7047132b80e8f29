# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional, Tuple

from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_number
from .base import AvgFactor, DistillationLoss, expand_weight, location_weight


@MODELS.register_module()
class FGDLoss(DistillationLoss):
    r"""Squared error where objects are, and where the teacher looks.

    The focal part of `Focal and Global Knowledge Distillation for Detectors
    <https://arxiv.org/abs/2111.11837>`_. Of maps :math:`x` of one image, with
    C channels and H W locations, the attention to location :math:`l` and to
    channel :math:`c` is

    .. math::
        A_l(x) = H W \, softmax_l \Big( \frac{mean_c |x_{c l}|}{T} \Big) ,
        \quad
        A_c(x) = C \, softmax_c \Big( \frac{mean_l |x_{c l}|}{T} \Big)

    With the student's maps :math:`s`, the teacher's :math:`t`, and the
    weights :math:`f` of the foreground and :math:`b` of the background, the
    loss of one image is

    .. math::
        \sum_{c, l} (\alpha f_l + \beta b_l) \, A_l(t) \, A_c(t) \,
        (s_{c l} - t_{c l})^2 +
        \gamma \Big( \sum_l |A_l(s) - A_l(t)| +
        \sum_c |A_c(s) - A_c(t)| \Big)

    The result is the sum over the images, divided by ``avg_factor`` or by the
    number of images, those of weight 0 included. These are sums over the
    channels, as in the paper, so the loss grows with their number; and it
    grows with the square of the features' scale.

    Shapes: maps (B, C, H, W). ``weight`` can be broadcast to (B, 2, H, W): the
    weights of the foreground, then those of the background, as
    :class:`~mmw2s.distillation.knowledge.FocalFeatures` gives them. None is
    for images without an object: all is background, b = 1 / (H W). An image
    whose weights are all 0 does not count.

    Args:
        alpha (float): Factor of the foreground. Defaults to 0.001.
        beta (float): Factor of the background. Defaults to 0.0005.
        gamma (float): Factor of the difference in attention. Defaults to
            0.0005. These three are what the paper's code has for RetinaNet
            with 256 channels; for Faster R-CNN it has 5e-5, 2.5e-5 and 5e-5,
            for RepPoints 0.0016, 0.0008 and 0.0008.
        temperature (float): T, used if a call gives none. Defaults to 0.5.
        loss_weight (float): Factor of the result. Defaults to 1.0.

    Raises:
        ValueError: If a factor is negative or not finite, or ``temperature``
            is not positive.

    Examples:
        >>> fgd_loss = FGDLoss()
        >>> student = torch.randn(2, 256, 20, 30)
        >>> teacher = torch.randn(2, 256, 20, 30)
        >>> masks = box_masks(boxes, image_size=(160, 240), size=(20, 30))
        >>> fgd_loss(student, teacher, masks)  # a scalar
    """

    compares = 'feature maps with boxes'

    def __init__(self,
                 alpha: float = 0.001,
                 beta: float = 0.0005,
                 gamma: float = 0.0005,
                 temperature: float = 0.5,
                 loss_weight: float = 1.0) -> None:
        check_number('FGDLoss.temperature', temperature, above=0)
        super().__init__(loss_weight, temperature)
        for name, value in dict(alpha=alpha, beta=beta, gamma=gamma).items():
            check_number(f'FGDLoss.{name}', value, at_least=0)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: float) -> Tensor:
        masks = _masks(student, weight)
        locations, channels = _attention(teacher, temperature)
        factor = self.alpha * masks[:, 0] + self.beta * masks[:, 1]
        # The channels first: so the backward keeps a single copy of the maps.
        error = (student - teacher).square() * channels[:, :, None, None]
        loss = (error.sum(1) * factor * locations).sum((1, 2))
        if self.gamma > 0:
            own_locations, own_channels = _attention(student, temperature)
            apart = (own_locations - locations).abs().sum((1, 2)) + \
                (own_channels - channels).abs().sum(1)
            counts = masks.amax((1, 2, 3)) > 0
            loss = loss + self.gamma * apart * counts
        return loss.sum() / (
            len(student) if avg_factor is None else avg_factor)


def _masks(maps: Tensor, weight: Optional[Tensor]) -> Tensor:
    """Weights of foreground and background, shape (B, 2, H, W)."""
    location_weight(maps, None)  # refuses what is no map
    batch, _, height, width = maps.shape
    if weight is None:
        weight = maps.new_zeros(2, 1, 1)
        weight[1] = 1 / (height * width)
    return expand_weight(weight, (batch, 2, height, width))


def _attention(maps: Tensor, temperature: float) -> Tuple[Tensor, Tensor]:
    """To the locations, shape (B, H, W), and to the channels, (B, C)."""
    size = maps.abs()
    of_location, of_channel = size.mean(1), size.mean((2, 3))
    locations = (of_location.flatten(1) / temperature).softmax(1)
    channels = (of_channel / temperature).softmax(1)
    return (locations.view_as(of_location) * locations.shape[1],
            channels * channels.shape[1])
