# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Tuple

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmw2s.utils.fields import check_integer

__all__ = ['HiddenLayer']


@MODELS.register_module()
class HiddenLayer(BaseModule):
    """One fully connected layer with a ReLU: a backbone of two-layer networks.

    Its output is laid out as maps of one pixel, as the necks and heads of
    mmpretrain and the knowledge of features take them.

    Args:
        in_features (int): Number of pixels times channels of an image.
        width (int): Number of hidden units.
        init_cfg (dict, optional): As in MMEngine. Defaults to None.

    Raises:
        ValueError: If a number is below 1.

    Examples:
        >>> backbone = dict(type='HiddenLayer', in_features=50, width=64)
    """

    def __init__(self,
                 in_features: int,
                 width: int,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        check_integer('HiddenLayer.in_features', in_features, at_least=1)
        check_integer('HiddenLayer.width', width, at_least=1)
        self.linear = nn.Linear(in_features, width)

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Images (B, C, H, W) to a tuple of maps (B, width, 1, 1)."""
        return (self.linear(x.flatten(1)).relu()[..., None, None], )
