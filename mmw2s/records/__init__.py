# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a run leaves behind. Nothing here knows a runner or a figure."""
