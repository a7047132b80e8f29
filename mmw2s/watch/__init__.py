# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Follow runs while they train, from the files in their work_dirs alone."""
from .display import LiveDisplay
from .follow import find_runs, follow
from .progress import Point, RunProgress, Stop, Target
from .stage import Row, Stage

__all__ = [
    'LiveDisplay', 'Point', 'Row', 'RunProgress', 'Stage', 'Stop', 'Target',
    'find_runs', 'follow'
]
