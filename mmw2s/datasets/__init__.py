# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .bccd import write_bccd
from .cifar10 import write_cifar10
from .digit_scenes import write_digit_scenes
from .digits import Digits
from .image_folder import ImageFolder
from .pack_image import PackImage

__all__ = [
    'Digits', 'ImageFolder', 'PackImage', 'write_bccd', 'write_cifar10',
    'write_digit_scenes'
]
