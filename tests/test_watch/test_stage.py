# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import time

import pytest

from mmw2s.watch import Row, Stage


def test_a_stage_is_as_its_files_tell(grow, row_of):
    assert row_of('a').state == 'waiting'
    grown = grow('a').train(4)
    assert row_of('a').state == 'running'
    grown.finish()
    assert row_of('a').state == 'finished'


def test_who_runs_a_stage_knows_better_than_its_files(grow, row_of):
    grow('a').train(4)
    assert [
        row_of('a', state).state
        for state in ('waiting', 'running', 'done', 'failed')
    ] == ['waiting', 'running', 'finished', 'failed']


def test_but_a_stage_that_hangs_is_stalled(grow, row_of):
    grown = grow('a').train(4)
    for path in grown.folder.rglob('*'):
        os.utime(path, (time.time() - 1000, ) * 2)
    assert row_of('a', 'running').state == 'stalled'
    assert row_of('a', 'done').state == 'finished'


def test_its_end_is_told_by_its_files_else_as_expected(grow, row_of):
    assert Row.of(Stage('a', 'running', None, 60.)).eta == 60.
    assert row_of('a', 'running', 60.).eta == 60.
    assert row_of('a', 'waiting', 60.).eta == 60.
    grow('a').train(10)
    assert row_of('a', 'running', 60.).eta == 30 * .5
    assert row_of('a', 'done', 60.).eta is None


def test_a_stage_of_no_such_state_is_refused():
    with pytest.raises(
            ValueError,
            match='"a" should be one of waiting, .*'
            "but is 'finished'"):
        Row.of(Stage('a', 'finished'))
