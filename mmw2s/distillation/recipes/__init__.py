# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import (Recipe, default_distill, default_schedule, default_stop,
                   default_temperature, find_recipe)
from .classification import ClassificationRecipe
from .comparable import (same_number_of_classes, why_incomparable,
                         without_places)
from .detection import DetectionRecipe
from .diffusion import DiffusionRecipe
from .segmentation import SegmentationRecipe

__all__ = [
    'ClassificationRecipe', 'DetectionRecipe', 'DiffusionRecipe', 'Recipe',
    'SegmentationRecipe', 'default_distill', 'default_schedule',
    'default_stop', 'default_temperature', 'find_recipe',
    'same_number_of_classes', 'why_incomparable', 'without_places'
]
