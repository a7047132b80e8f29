# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.records.history import check_history


def content(*rows, **fields):
    row = dict(
        epoch=1.,
        iter=4,
        samples=None,
        train_seconds=1.,
        wall_seconds=2.,
        metrics={})
    return dict(history=[dict(row, **r) for r in rows], **fields)


def test_what_a_run_wrote_passes():
    check_history(
        content({}, dict(iter=8, later=1), run={}, targets=[], finished=True),
        'x', 8, dict(train_seconds=1.5, wall_seconds=2.5))
    check_history(content(), 'x')


@pytest.mark.parametrize(
    'row',
    [
        dict(train_seconds=8., wall_seconds=8.),
        dict(iter=8, train_seconds=9.),  # validated after the checkpoint
    ])
def test_a_row_up_to_the_clocks_of_the_checkpoint_passes(row):
    check_history(
        content(row), 'x', 8, dict(train_seconds=8., wall_seconds=8.))


@pytest.mark.parametrize('given, message', [
    (content(dict(iter=-1), {}), r'^history\[0\] of x'),
    (dict(history=None), '^x is damaged: its history should be a list'),
    (content(run=[]), 'run should be a dict'),
    (content(finished='no'), 'finished should be true or false'),
    (dict(history=[3]), r'^history\[0\] of x .* a dict, but is 3'),
    (content({}, dict(iter='8')), r'history\[1\] of x .* whole number'),
    (content({}, {}), r'history\[1\] .* its iter is 4, .* before 4'),
    (content(dict(train_seconds=float('nan'))), 'a number of seconds'),
    (content(dict(wall_seconds=1e300)), 'a number of seconds'),
    (content(dict(metrics={'a': '1'})), 'finite numbers by metric'),
    (content(dict(train_seconds=9.)), 'another run'),
])
def test_what_no_run_wrote_is_refused_by_its_row(given, message):
    with pytest.raises(ValueError, match=message):
        check_history(given, 'x', 8, dict(train_seconds=8., wall_seconds=8.))
