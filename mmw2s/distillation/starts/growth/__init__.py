# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from . import dit, unet2d, vit  # noqa: F401, they register their rules
from .rules import (CannotGrow, GrowthRule, State, families, find_rule,
                    growth_rule)
from .walk import grow_children, grow_module
from .widths import copied, factor, grow_layer, split

__all__ = [
    'CannotGrow', 'GrowthRule', 'State', 'copied', 'factor', 'families',
    'find_rule', 'grow_children', 'grow_layer', 'grow_module', 'growth_rule',
    'split'
]
