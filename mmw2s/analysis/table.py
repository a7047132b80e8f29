# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A table of texts, and how costs are written in its cells."""
import math
from typing import Dict, List, NamedTuple, Optional, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from .run import Run, time_unit

__all__ = ['FOR_GOOD', 'Format', 'NOT_REACHED', 'Table']

NOT_REACHED, UNKNOWN = 'not reached', '-'
#: Short names of the units, for the header.
HEADS = dict(
    epoch='epoch',
    iter='iter',
    train_seconds='train ({})',
    wall_seconds='wall ({})',
    device_hours='device h')
FOR_GOOD = '{}, for good'

# What means something to LaTeX, or is not in its first fonts.
_LATEX = {
    **{
        c: f'\\{c}'
        for c in '&%$#_{}'
    }, '\\': r'\textbackslash{}',
    '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}',
    '<': r'\textless{}',
    '>': r'\textgreater{}',
    '|': r'\textbar{}',
    '"': "''",
    '\u00d7': r'$\times$',
    '\u2013': '--',
    '\u2192': r'$\rightarrow$',
    '\n': ' '
}

# Scales a box down to the width of its place, and never up.
_FIT = (r'\resizebox{\ifdim\width>\linewidth \linewidth\else\width\fi}{!}{%')


def _in_latex(text: str) -> str:
    # A bracket after a line's end would be read as an option of it.
    text = ''.join(_LATEX.get(c, c) for c in text)
    return f'{{{text}}}' if text.startswith(('[', '*')) else text


class Table(NamedTuple):
    """A table whose cells are texts."""
    title: str
    header: List[str]
    rows: List[List[str]]

    def to_markdown(self) -> str:
        """The table in Markdown, without the title."""
        lines = [self.header, ['---'] * len(self.header), *self.rows]
        return '\n'.join('| ' +
                         ' | '.join(c.replace('|', '\\|') for c in line) + ' |'
                         for line in lines)

    def to_latex(self, columns: int = 1) -> str:
        """The table in LaTeX, for the packages booktabs and graphicx.

        Its title is the caption. A table that is wider than its place is made
        smaller as a whole.

        Args:
            columns (int): Of the page, that it may take. Defaults to 1.
        """
        rows = [
            ' & '.join(map(_in_latex, line)) + r' \\'
            for line in (self.header, *self.rows)
        ]
        kind = 'table' if columns == 1 else 'table*'
        return '\n'.join([
            rf'\begin{{{kind}}}', r'\centering',
            rf'\caption{{{_in_latex(self.title)}}}', _FIT,
            rf'\begin{{tabular}}{{{"l" * len(self.header)}}}', r'\toprule',
            rows[0], r'\midrule', *rows[1:], r'\bottomrule', r'\end{tabular}}',
            rf'\end{{{kind}}}'
        ])

    def print(self, console: Optional[Console] = None) -> None:
        """Print title and table to the terminal."""
        shown = RichTable(
            title=self.title,
            title_justify='left',
            box=box.SIMPLE_HEAD,
            padding=0,
            show_edge=False)
        for name in self.header:
            shown.add_column(name, overflow='fold')
        for row, following in zip(self.rows, self.rows[1:] + [['']]):
            shown.add_row(*row, end_section=row[0] != following[0])
        console = console or Console()
        if not console.is_terminal:  # a file has no width, so nothing is cut
            wide = console.options.update(max_width=1000)
            console.width = max(console.width,
                                console.measure(shown, options=wide).maximum)
        console.print(shown)


class Format:
    """Formats costs, with one unit of time for all of a report."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.time = time_unit(runs)

    def head(self, unit: str) -> str:
        return HEADS[unit].format(self.time.name)

    def cost(self, value: float, unit: str) -> str:
        if math.isinf(value):
            return NOT_REACHED
        if math.isnan(value):
            return UNKNOWN
        if unit in ('train_seconds', 'wall_seconds'):
            return f'{value / self.time.seconds:.1f}'
        if unit == 'device_hours':
            return f'{value:.3g}'
        return f'{round(value, 2):g}' if unit == 'epoch' else f'{value:.0f}'

    def costs(self, values: Dict[str, float]) -> List[str]:
        """One cell for each unit; the first says it if nothing was reached."""
        if not any(map(math.isfinite, values.values())):
            return [NOT_REACHED] + ['-'] * (len(values) - 1)
        return [self.cost(value, unit) for unit, value in values.items()]
