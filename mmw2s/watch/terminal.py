# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A table in a terminal, drawn anew in its place."""
from typing import List, Optional, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .chart import draw
from .progress import RunProgress
from .stage import Row
from .words import (URGENCY, counts, heading, left, place, score, targets,
                    teacher)

__all__ = ['LiveTable']

_STYLES = dict(
    waiting='dim',
    running='cyan',
    stalled='yellow',
    finished='green',
    failed='bold red')
# The curve and the teacher's line, and the scores that belong to them.
_CURVE, _TEACHER = 'cyan', 'yellow'
_BAR, _CHART, _TALL = 16, 24, 4
# The heading, an empty line, the head of the table and its rule, and a line
# about what is left out.
_AROUND = 6


class LiveTable:
    """Shows a table with a row for each stage.

    Where there is room, a row has a chart and says all. Else it is one line,
    and where there is no room for that either, rows in which nothing happens
    are left out.

    Args:
        console (Console): The terminal.
        title (str): The first word of the heading.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._ascii_only = not console.encoding.startswith('utf')
        self._live = Live(
            console=console, auto_refresh=False, vertical_overflow='crop')
        self._live.start()

    def show(self, rows: Sequence[Row], eta: Optional[float] = None) -> None:
        """Draw the table anew."""
        self._live.update(self.drawn(rows, eta), refresh=True)

    def close(self) -> None:
        """Leave the table as it is, and give the terminal back."""
        self._live.stop()

    def drawn(self,
              rows: Sequence[Row],
              eta: Optional[float] = None) -> RenderableType:
        """The table, as tall as the terminal at most.

        Args:
            rows (Sequence[Row]): What it shows.
            eta (float, optional): Seconds to the end of the whole.
        """
        room = self._console.height - _AROUND
        tall = sum(map(_height, rows)) <= room
        kept = rows if tall else _most_urgent(rows, max(room, 1))
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        for head in ('run', 'progress', 'curve', 'score'):
            table.add_column(head)
        for row in kept:
            cells = self._tall(row) if tall else self._flat(row)
            table.add_row(*cells, end_section=tall and row is not kept[-1])
        parts: List[RenderableType] = [
            Text.assemble((f'{self._title}  ', 'bold'), heading(rows, eta)),
            table
        ]
        hidden = [row for row in rows if row not in kept]
        if hidden:
            parts.append(Text(f'not shown: {counts(hidden)}', style='dim'))
        return Group(*parts)

    def _tall(self, row: Row) -> List[RenderableType]:
        run = row.run
        if run is None or row.state == 'waiting':
            return [self._named(row), _left(row), '', _problem(row)]
        told = [
            Text(score(run), _CURVE),
            Text(teacher(run), _TEACHER), *map(Text, targets(run)),
            _problem(row)
        ]
        return [
            Group(self._named(row), Text(row.state, _STYLES[row.state])),
            Group(self._bar(run), Text(place(run)), _step(run), _left(row)),
            self._chart(run, _CHART, _TALL),
            Text('\n').join(line for line in told if line)
        ]

    def _flat(self, row: Row) -> List[RenderableType]:
        run = row.run
        cells: List[RenderableType] = [
            self._named(row),
            Text(row.state, _STYLES[row.state]), '',
            _problem(row)
        ]
        if run is not None and row.state != 'waiting':
            done = '' if run.share is None else f'{run.share:4.0%} '
            if row.state != 'finished':
                told = _left(row) if row.state == 'running' else cells[1]
                cells[1] = Text.assemble((done, _STYLES[row.state]), told)
            cells[2] = self._chart(run, _CHART // 2, 1)
            if not run.problem:
                latest = f'{run.curve[-1].score:.4g}' if run.curve else ''
                cells[3] = Text('  '.join(
                    part for part in (latest, teacher(run)) if part))
        return [_in_a_line(cell) for cell in cells]

    def _named(self, row: Row) -> Text:
        return Text(row.name, style='bold', overflow='ellipsis')

    def _chart(self, run: RunProgress, width: int, height: int) -> Text:
        lines = draw(run, width, height, self._ascii_only)
        return Text('\n').join(
            Text.assemble(*((cell.text, _CURVE if cell.is_curve else _TEACHER)
                            for cell in line)) for line in lines)

    def _bar(self, run: RunProgress) -> Text:
        if run.share is None:
            return Text('')
        done = round(run.share * _BAR)
        full, rest = '#.' if self._ascii_only else '━─'
        return Text.assemble((full * done, _CURVE),
                             (rest * (_BAR - done), 'dim'))


def _height(row: Row) -> int:
    """Number of lines of a row that says all, with its rule."""
    if row.run is None or row.state == 'waiting':
        return 2
    return 1 + max(_TALL, 2 + len(row.run.targets) + bool(row.run.problem))


def _most_urgent(rows: Sequence[Row], count: int) -> List[Row]:
    """So many rows at most, in the order in which they are given."""
    ranked = sorted(rows, key=lambda row: URGENCY.index(row.state))[:count]
    return [row for row in rows if row in ranked]


def _step(run: RunProgress) -> Text:
    seconds = run.step_seconds
    return Text('' if seconds is None else f'{seconds:.2g} s a step', 'dim')


def _left(row: Row) -> Text:
    if row.state == 'waiting' or row.run is None:
        told = ', '.join(part for part in (row.state, left(row)) if part)
        return Text(told, _STYLES[row.state])
    return Text(left(row))


def _problem(row: Row) -> Text:
    if row.run is None or not row.run.problem:
        return Text('')
    return Text(f'cannot be read: {row.run.problem}', 'red')


def _in_a_line(cell: RenderableType) -> RenderableType:
    if isinstance(cell, Text):
        cell.no_wrap, cell.overflow = True, 'ellipsis'
    return cell
