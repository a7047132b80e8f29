# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import io

import pytest
from rich.console import Console

from mmw2s.watch import Row, Stage
from mmw2s.watch.terminal import LiveTable


class AsciiFile(io.StringIO):
    encoding = 'ascii'


@pytest.fixture
def drawn():
    """The lines of a table in a terminal of some size."""

    def drawn(rows, width=100, height=40, file=None):
        console = Console(
            file=file or io.StringIO(),
            width=width,
            height=height,
            force_terminal=True,
            color_system=None)
        table = LiveTable(console, 'title')
        with console.capture() as capture:
            console.print(table.drawn(rows))
        table.close()
        return capture.get().splitlines()

    return drawn


def test_a_row_says_all_where_there_is_room(grow, row_of, drawn):
    grown = grow('a', teacher=.3, targets=(.2, .4)).train(10)
    grown.validate(.1).train(10).validate(.25)
    text = '\n'.join(drawn([row_of('a')]))
    for part in ('title  1 running, 16 s left', '━━━━━━━━────────',
                 'epoch 2.0 of 4', '0.5 s a step', 'coco/bbox_mAP 0.25',
                 'teacher 0.3, distilling', 'target 0.2: epoch 2',
                 'target 0.4: not yet', '⡠'):
        assert part in text


def test_where_lines_are_few_a_row_has_one(grow, row_of, drawn):
    grow('a', teacher=.3).train(10).validate(.1).train(10).validate(.25)
    grow('b').train(40).finish()
    lines = drawn([row_of('a'), row_of('b'), row_of('c')], height=12)
    a, = (line for line in lines if line.startswith(' a '))
    assert ' 50% 16 s left' in a and '0.25  teacher 0.3, distilling' in a
    assert [
        line.split()[:2] for line in lines if line.startswith((' b ', ' c '))
    ] == [['b', 'finished'], ['c', 'waiting']]


def test_a_table_is_never_taller_than_the_terminal(grow, drawn):
    run = Row.of(Stage('a', None, str(grow('a').train(10).folder)))
    rows = [run._replace(name=f'run_{i}') for i in range(100)]
    rows[70] = rows[70]._replace(state='failed')
    for i in range(50):
        rows[i] = rows[i]._replace(state='finished')
    for height in (5, 10, 30):
        lines = drawn(rows, height=height)
        assert len(lines) <= max(height, 7)
        assert any('run_70' in line for line in lines)
    assert lines[-1] == 'not shown: 26 running, 50 finished'


def test_lines_fit_a_narrow_terminal(grow, row_of, drawn):
    grow('a' * 30, teacher=.3, targets=(.2, )).train(10).validate(.1)
    for height in (40, 8):
        lines = drawn([row_of('a' * 30)], width=50, height=height)
        assert max(map(len, lines)) <= 50


def test_a_terminal_without_braille_gets_plain_characters(grow, row_of, drawn):
    grow('a', teacher=.3).train(10).validate(.1).train(10).validate(.25)
    lines = drawn([row_of('a')], file=AsciiFile())
    assert '\n'.join(lines).isascii()
    assert any('########........' in line for line in lines)


def test_names_are_no_markup(drawn):
    rows = [Row.of(Stage('[bold]x[/bold]', 'waiting'))]
    assert any('[bold]x[/bold]' in line for line in drawn(rows))
