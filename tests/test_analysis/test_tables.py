# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import io

import pytest
from rich.console import Console

from mmw2s.analysis import compare
from mmw2s.analysis.tables import Table, tables


class TestTable:
    TABLE = Table('Title', ['side', 'run'], [['a|b', '1'], ['c', '22']])

    def test_markdown_has_cells_alone(self):
        assert self.TABLE.to_markdown() == ('| side | run |\n| --- | --- |\n'
                                            '| a\\|b | 1 |\n| c | 22 |')

    def test_a_file_gets_lines_of_any_length(self):
        long = 'x' * 300
        file = io.StringIO()
        Table('Title', ['run'], [[long]]).print(Console(file=file, width=40))
        assert 'Title' in file.getvalue() and long in file.getvalue()


class TestTables:

    @pytest.fixture
    def found(self, write_run):
        return tables(
            compare([write_run('base', [.1, .2, .4])],
                    [write_run('w2s', [.2, .4, .3], stop_epoch=2)],
                    targets=[.2, .9]))

    def test_titles_and_order(self, found):
        summary, cost, *targets, quality = [table.title for table in found]
        assert cost == 'Cost in wall clock'
        assert summary.startswith('Median cost of reaching a target')
        assert [title.split()[-1] for title in targets] == ['0.2', '0.9']
        assert quality.endswith('length of the whole runs')

    def test_all_rows_are_as_wide_as_their_header(self, found):
        widths = [{len(row) for row in (t.header, *t.rows)} for t in found]
        assert [len(width) for width in widths] == [1] * 5

    def test_what_is_not_reached_is_said_once_a_run(self, found):
        rows = found[3].rows
        assert [row.count('not reached') for row in rows[:2]] == [2, 2]
        assert rows[0][:3] == ['baseline', 'base', '0']

    def test_the_quality_says_when_the_teacher_went(self, found):
        baseline, w2s = found[-1].rows
        assert baseline[2:4] == ['0.4 @ 3', '0.4'] and baseline[-1] == '-'
        assert w2s[2:4] == ['0.4 @ 2', '0.3']
        assert w2s[-1] == 'epoch 2: surpassed'
