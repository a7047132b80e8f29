# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The ground floor: nothing here imports another part of mmw2s."""
