# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .bbox_head import grow_bbox_head
from .denoising import grow_denoising
from .dit import grow_dit
from .resnet import grow_resnet
from .rules import (CannotGrow, GrowthRule, State, families, find_rule,
                    growth_rule, refuse_other_class)
from .unet2d import grow_unet2d
from .vit import grow_vit
from .walk import grow_children, grow_module
from .widths import copied, factor, grow_layer, split

__all__ = [
    'CannotGrow', 'GrowthRule', 'State', 'copied', 'factor', 'families',
    'find_rule', 'grow_bbox_head', 'grow_children', 'grow_denoising',
    'grow_dit', 'grow_layer', 'grow_module', 'grow_resnet', 'grow_unet2d',
    'grow_vit', 'growth_rule', 'refuse_other_class', 'split'
]
