# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .gradient_table import KINDS, measure, table

__all__ = ['KINDS', 'measure', 'table']
