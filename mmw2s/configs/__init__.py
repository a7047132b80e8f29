# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Base modules for configs in the Python style (``with read_base():``)."""
