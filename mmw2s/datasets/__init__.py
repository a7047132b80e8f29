# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .digits import Digits
from .image_folder import ImageFolder
from .pack_image import PackImage
from .sparse_parity import SparseParity

__all__ = ['Digits', 'ImageFolder', 'PackImage', 'SparseParity']
