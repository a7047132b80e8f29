# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A weaker teacher, derived from the config of its student."""
from .families import FAMILIES
from .images import scale_images
from .model import DerivedModel, derive_model
from .schedule import scale_lr, shorten

__all__ = [
    'FAMILIES', 'DerivedModel', 'derive_model', 'scale_images', 'scale_lr',
    'shorten'
]
