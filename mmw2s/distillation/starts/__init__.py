# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import Start, Started
from .corner import Corner
from .grow import Grow
from .inherit import Inherit

__all__ = ['Corner', 'Grow', 'Inherit', 'Start', 'Started']
