# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import Start, Started
from .inherit import Inherit

__all__ = ['Inherit', 'Start', 'Started']
