# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional

from torch import nn

from mmw2s.registry import RECIPES
from .base import Recipe

__all__ = ['DiffusionRecipe']


@RECIPES.register_module()
class DiffusionRecipe(Recipe):
    """For ``DenoisingDiffusion`` and similar models: what they predict."""

    def matches(self, student: nn.Module) -> bool:
        return hasattr(student, 'alphas_cumprod')

    def distill(self,
                student: nn.Module,
                teacher: nn.Module,
                other_classes: Optional[str] = None) -> List[dict]:
        return [
            dict(
                knowledge=dict(type='Denoising'),
                loss=dict(type='MSEKDLoss', loss_weight=1.))
        ]
