# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The table of settings: a row each, whether there is a baseline or not."""
from statistics import median
from typing import List, NamedTuple, Optional

from mmw2s.analysis.curves import switched_off_at
from mmw2s.analysis.run import UNITS
from mmw2s.analysis.strength_plot import teacher_share
from mmw2s.analysis.table import Format, Table
from .answer import short
from .content import Report
from .groups import Group

__all__ = ['Cell', 'summary', 'values']


class Cell(NamedTuple):
    """A cell: what it says, and what is told below it in small type."""
    text: str
    more: str = ''

    def __str__(self) -> str:
        return f'{self.text}: {self.more}' if self.more else self.text


class Summary(NamedTuple):
    """A table with cells in two parts."""
    title: str
    header: List[str]
    rows: List[List[Cell]]

    def plain(self) -> Table:
        """The same with cells of text."""
        return Table(self.title, self.header,
                     [[str(cell) for cell in row] for row in self.rows])


def summary(report: Report) -> Summary:
    """A row for each group: its cost of each target, the gain, its quality."""
    unit = report.axes[0].unit
    targets = report.targets[report.metric]
    header = ['setting', 'seeds', 'teacher']
    header += [target.label.replace(' of baseline', '') for target in targets]
    header += ['best', 'last', 'distilled until']
    rows = [_row(report, group, unit) for group in report.groups]
    shown = [
        i for i in range(len(header))
        if i < 2 or any(row[i].text not in ('', '\u2013') for row in rows)
    ]
    return Summary(f'{UNITS[unit].capitalize()} to targets of {report.metric}',
                   [header[i] for i in shown],
                   [[row[i] for i in shown] for row in rows])


def _row(report: Report, group: Group, unit: str) -> List[Cell]:
    side, form = report.side(group), Format(group.runs)
    result = report.comparisons.get(group.name)
    share = teacher_share(result) if result else None
    row = [
        Cell(group.name),
        Cell(str(len(group.runs))),
        Cell('\u2013' if share is None else f'{share:.0%}')
    ]
    for target in report.targets[report.metric]:
        costs = side.costs(target.value, unit)
        row.append(Cell(_spread(costs, unit, form)))
        if result:
            gain = short(result.speedup(target, unit))
            clock = result.counted_unit
            if clock in result.teacher_units:
                counted = short(result.speedup(target, clock, True))
                gain += f', counted {counted}'
            row[-1] = row[-1]._replace(more=gain)
    last = [run.last(report.metric) for run in group.runs]
    known = [x for x in last if x is not None]
    part = '' if len(known) in (0, len(last)) else \
        f'{len(known)} of {len(last)} runs'
    ends = switched_off_at(group.runs)
    return row + [
        _score(side.median_best()),
        _score(median(known) if known else None)._replace(more=part),
        Cell(_ends(group, unit, form) if ends else '\u2013')
    ]


def _spread(costs: List[float], unit: str, form: Format) -> str:

    def told(value: float) -> str:
        return form.cost(value, unit).replace('not reached', 'never')

    text = told(median(costs))
    if len(costs) > 1 and min(costs) != max(costs):
        text += f' ({told(min(costs))}\u2013{told(max(costs))})'
    return text


def _ends(group: Group, unit: str, form: Format) -> str:
    points = [
        run.stop[unit] for run in group.runs
        if run.stop and run.stop['iter'] and unit in run.stop
    ]
    return _spread(points, unit, form) if points else '\u2013'


def _score(value: Optional[float]) -> Cell:
    return Cell('\u2013' if value is None else f'{value:.4g}')


def values(report: Report) -> Table:
    """The points of all curves of the compared metric, as text."""
    from .chart_data import curve_rows
    axis = report.axes[0]
    names = [group.name for group in report.groups]
    found: dict = {}
    for row in curve_rows(report):
        if row['m'] == report.metric and row['g'] in names and \
                'off' not in row and axis.key in row:
            text = f'{row["y"]:.4g}'
            if row['hi'] > row['lo']:
                text += f' ({row["lo"]:.4g}\u2013{row["hi"]:.4g})'
            cells = found.setdefault(row[axis.key], {})
            cells[row['g']] = ' / '.join(
                part for part in (cells.get(row['g']), text) if part)
    return Table(f'{report.metric}, median (least\u2013most)',
                 [axis.label, *names],
                 [[f'{x:g}', *(found[x].get(name, '') for name in names)]
                  for x in sorted(found)])
