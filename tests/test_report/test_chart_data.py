# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from recorded import METRIC

from mmw2s.report import gather, make_report
from mmw2s.report.chart_data import (COUNT, TEACHER, bar_rows, curve_rows,
                                     level_rows)
from mmw2s.report.looks import looks


def of(rows, **wanted):
    return [
        row for row in rows if all(row.get(k) == v for k, v in wanted.items())
    ]


def test_a_curve_is_the_median_with_its_range(write_run):
    runs = [
        write_run(f'a_s{i}', [s, 2 * s], seed=i)
        for i, s in enumerate((.1, .2, .4))
    ]
    rows = curve_rows(make_report(gather(runs)))
    assert [(r['epochs'], r['y'], r['lo'], r['hi']) for r in rows] == \
        [(1, .2, .1, .4), (2, .4, .2, .8)]


def test_time_with_the_teacher_begins_at_what_it_cost(report):
    rows = of(curve_rows(report), g='w2s', off=None)
    assert [row['time'] for row in rows[:2]] == [12, 24]
    assert [row['time+teacher'] for row in rows[:2]] == [12 + 14, 24 + 14]
    base = of(curve_rows(report), g='base')
    assert base[0]['time+teacher'] == base[0]['time']


def test_the_teachers_training_is_on_the_axis_that_counts_it(report):
    rows = of(curve_rows(report), g=TEACHER)
    assert [row['time+teacher'] for row in rows] == [7, 14]
    assert not any('epochs' in row or 'time' in row for row in rows)


def test_the_ends_of_the_distillation_are_marked(report):
    ends = of(curve_rows(report), off=1)
    assert [(r['epochs'], r['y']) for r in ends] == \
        [(2, .4), (3, .45), (4, .48)]


def test_runs_without_a_common_validation_are_drawn_one_by_one(write_run):
    runs = [
        write_run(f'a_s{i}', s, seed=i)
        for i, s in enumerate(([.1, None], [None, .2]))
    ]
    rows = curve_rows(make_report(gather(runs)))
    assert [(r['p'], r['y']) for r in rows] == [(0, .1), (1, .2)]


def test_a_long_curve_is_thinned_out_and_keeps_best_and_last(write_run):
    scores = [i / 1000 for i in range(1000)]
    scores[313] = 2.
    rows = curve_rows(make_report(gather([write_run('a', scores)])))
    assert COUNT <= len(rows) <= COUNT + 2
    assert max(row['y'] for row in rows) == 2. and rows[-1]['y'] == .999


def test_levels_are_the_targets_and_the_teachers_score(report):
    rows = level_rows(report)
    assert [(r['kind'], r['text']) for r in rows] == \
        [('target', '80 %'), ('target', '90 %'), ('target', '95 %'),
         ('teacher', 'teacher 0.42')]


def test_a_bar_has_its_range_on_every_axis(write_run):
    runs = [
        write_run('a_s0', [.5, .5, .5], seed=0),
        write_run('a_s1', [.1, .5, .5], seed=1),
        write_run('a_s2', [.1, .1, .1], seed=2)
    ]
    bar, = bar_rows(make_report(gather(runs), targets=[.5]))
    assert (bar['epochs'], bar['epochs:lo'], bar['epochs:hi']) == (2, 1, 3)
    assert bar['epochs:t'] == '2 (1–never)' and bar['n'] == '2 of 3'
    assert bar['time'] == 24 and not bar['never']


def test_a_target_that_was_never_reached_is_open(write_run):
    bar, = bar_rows(
        make_report(gather([write_run('a', [.1, .2])]), targets=[.9]))
    assert bar['never'] and bar['epochs'] == 2
    assert bar['epochs:t'] == 'never in 2 →' and bar['n'] == '0 of 1'
    assert 'epochs:hi' not in bar


def test_a_metric_that_a_run_lacks_is_no_point(write_run):
    runs = [write_run('a', [None, None]), write_run('b', [.1, .2])]
    rows = curve_rows(make_report(gather(runs)))
    assert {row['g'] for row in rows} == {'b'}


def test_no_two_settings_look_alike(write_run, tmp_path):
    for i in range(25):
        write_run(f'arms/arm {i:02} of many', [.1])
    found = looks(make_report(gather([str(tmp_path / 'arms')])))
    told = [(look.color, tuple(look.dash), look.shape)
            for look in found.values()]
    assert len(set(told)) == len(told) == 26
    # Without color, neighbors differ by their marker.
    shapes = [look.shape for look in found.values()]
    assert all(a != b for a, b in zip(shapes, shapes[1:-1]))


def test_numbers_have_no_more_digits_than_are_seen(write_run):
    rows = curve_rows(make_report(gather([write_run('a', [1 / 3])])))
    assert rows[0]['y'] == .333333 and rows[0]['m'] == METRIC
    assert rows[0]['iterations'] == pytest.approx(100)
