# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .digit_scenes import write_digit_scenes

__all__ = ['write_digit_scenes']
