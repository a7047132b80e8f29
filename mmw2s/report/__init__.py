# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A report on runs: a page in one file, figures and tables for papers.

What draws the page is imported on first use: it is an optional package.
"""
from .content import Report, make_report
from .gather import Material, gather
from .groups import Group
from .page import write_page
from .paper import write_figure, write_latex, write_markdown
from .trackers import log_to_mlflow, log_to_wandb

__all__ = [
    'Group', 'Material', 'Report', 'gather', 'log_to_mlflow', 'log_to_wandb',
    'make_report', 'write_figure', 'write_latex', 'write_markdown',
    'write_page'
]
