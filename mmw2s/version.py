# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The version of mmw2s, the only place where it is written."""
__version__ = '0.2.0.dev0'
