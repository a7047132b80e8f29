# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Read runs, and compare how fast they reached a target (time-to-accuracy).

Modules that draw or print are imported on first use: training needs none.
"""
from mmw2s.records.targets import first_at_target, infer_rule
from .compare_runs import compare
from .comparison import Comparison
from .pace import Pace
from .run import Run

__all__ = [
    'Comparison', 'Pace', 'Run', 'choose_teacher', 'compare',
    'first_at_target', 'infer_rule', 'plot_curves', 'print_tables', 'save',
    'write_report'
]


def __getattr__(name: str):
    if name == 'choose_teacher':
        from .teacher_choice import choose_teacher
        return choose_teacher
    if name == 'plot_curves':
        from .plots import plot_curves
        return plot_curves
    if name in ('print_tables', 'save', 'write_report'):
        from . import report
        return getattr(report, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
