# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a run leaves behind, and what its numbers mean."""
