# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import Start, Started
from .free_scale import warn_of_free_scale
from .inherit import Inherit

__all__ = ['Inherit', 'Start', 'Started', 'warn_of_free_scale']
