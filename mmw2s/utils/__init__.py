# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Helpers that need no other part of mmw2s."""
