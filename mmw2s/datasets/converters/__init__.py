# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Writing data sets in the formats that are read; no training run does."""
from .bccd import write_bccd
from .cifar10 import write_cifar10
from .digit_scenes import write_digit_scenes

__all__ = ['write_bccd', 'write_cifar10', 'write_digit_scenes']
