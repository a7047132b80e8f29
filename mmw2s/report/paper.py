# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Figures and tables for papers."""
import re
from itertools import cycle
from typing import List

from mmw2s.analysis.plots import BASELINE, LOOKS, Line, Panel, plot_lines
from mmw2s.analysis.table import Table
from mmw2s.utils.files import atomic_write, whole_file
from .content import Axis, Report
from .summary import summary

__all__ = [
    'WIDTHS', 'escaped', 'write_figure', 'write_latex', 'write_markdown'
]

#: Columns of a page -> width in inches, as in the templates of conferences.
WIDTHS = {1: 3.3, 2: 6.9}


def write_figure(report: Report, path: str, columns: int = 2) -> None:
    """Draw the curves as a vector graphic.

    One column has the metric against epochs, or iterations where epochs are
    not known. Two columns have it against time too, with the teacher's
    training if it is known.

    Args:
        report (Report): What is drawn.
        path (str): A ``.pdf`` (fonts inside, as TrueType) or ``.svg`` file.
        columns (int): 1 or 2. Defaults to 2.

    Raises:
        ValueError: If the file is to be of another kind, or the number of
            columns is another.
    """
    if not path.lower().endswith(('.pdf', '.svg')):
        raise ValueError(f'{path} should end with .pdf or .svg: figures for '
                         'papers are vector graphics')
    if columns not in WIDTHS:
        raise ValueError(f'a figure should be 1 or 2 columns wide, but got '
                         f'{columns!r}')
    axes = _axes(report)[:columns]
    counts = axes[-1].counted
    looks = cycle(LOOKS)
    lines = []
    for group in report.groups:
        runs = [run for run in group.runs if run.rows(report.metric)]
        color, style = (BASELINE, '-') if group.is_baseline else next(looks)
        if runs:
            lines.append(
                Line(group.name, runs, color,
                     group.teacher if counts else None, style))
    panels = {
        axis.label: Panel(report.metric, axis.unit, axis.scale)
        for axis in axes
    }
    with whole_file(path) as temporary:
        plot_lines(temporary, lines, panels, report.targets[report.metric],
                   set(report.teacher_scores(report.metric)), WIDTHS[columns])


def _axes(report: Report) -> List[Axis]:
    times = [axis for axis in report.axes if axis.key.startswith('time')]
    return report.axes[:1] + [
        axis for axis in times[-1:] if axis != report.axes[0]
    ]


def write_latex(report: Report, path: str, columns: int = 2) -> None:
    """Write the table of settings in LaTeX.

    It needs the packages booktabs and graphicx.

    Args:
        report (Report): What is written.
        path (str): The file.
        columns (int): Of the page, that it may take. Defaults to 2.
    """
    with atomic_write(path) as file:
        file.write(summary(report).plain().to_latex(columns) + '\n')


def write_markdown(report: Report, path: str) -> None:
    """Write the table of settings in Markdown."""
    plain = summary(report).plain()
    table = Table(plain.title, list(map(escaped, plain.header)),
                  [list(map(escaped, row)) for row in plain.rows])
    with atomic_write(path) as file:
        file.write(table.to_markdown() + '\n')


def escaped(text: str) -> str:
    """A text that Markdown shows as it is.

    ``|`` is left to the table. An underscore inside a word means nothing.
    """
    text = re.sub(r'([\\`*\[\]<>~])', r'\\\1', text.replace('\n', ' '))
    return re.sub(r'(?<!\w)_|_(?!\w)', r'\\_', text)
