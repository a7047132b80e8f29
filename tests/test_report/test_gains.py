# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.report import gather, make_report
from mmw2s.report.gains import finals, gains


def test_a_gain_has_its_interval_and_what_limits_it(report):
    table, notes = gains(report)
    row = dict(zip(table.header, table.rows[0]))
    assert row['gain in epochs'] == row['median of pairs'] == '2.00×'
    assert row['95 % interval'] == '2.00 to 2.00'
    assert row['students that pay for the teacher'] == '1'
    assert notes and notes[0].startswith('3 seeds')


@pytest.mark.parametrize('target, pay', [
    (.9, 'not known'),
    (.5, 'not known'),
    (.3, '2'),
    (.2, 'never'),
])
def test_what_a_student_saves_is_told_where_the_baseline_got_there(
        write_run, target, pay):
    runs = [
        write_run('base', [.1, .25, .3]),
        write_run('w2s', [.1, .4, .5], teacher=.3),
        write_run('teacher', [.3, .3])
    ]
    table, _ = gains(make_report(gather(runs), targets=[target]))
    row = dict(zip(table.header, table.rows[0]))
    assert row['students that pay for the teacher'] == pay


def test_what_a_student_saves_is_not_known_where_it_ended_too_early(write_run):
    runs = [
        write_run('base', [.1, .25, .3]),
        write_run('short', [.1, .2], teacher=.3),
        write_run('whole', [.1, .2, .2], teacher=.3),
        write_run('teacher', [.3])
    ]
    table, _ = gains(make_report(gather(runs), targets=[.3]))
    assert [row[-1] for row in table.rows] == ['not known', 'never']


def test_an_interval_of_runs_that_never_got_there_is_explained(write_run):
    runs = [write_run(f'b_s{s}', [.1, .5], seed=s) for s in range(3)]
    runs += [
        write_run(f'w_s{s}', [.1, .5 if s else .4], seed=s, teacher=.3)
        for s in range(3)
    ]
    table, notes = gains(make_report(gather(runs), targets=[.5]))
    row = dict(zip(table.header, table.rows[0]))
    assert row['95 % interval'] == '0.00 to 1.00'
    assert notes[-1] == 'an interval from 0 or to inf has runs that never ' \
        'reached the target'


def test_a_gain_of_one_seed_has_no_interval(write_run):
    runs = [write_run('base', [.1, .5]), write_run('w', [.5], teacher=.3)]
    table, notes = gains(make_report(gather(runs)))
    assert '95 % interval' not in table.header
    assert notes == ['1 of at least 3 seeds: too few for an interval']


def test_a_margin_says_whether_the_final_quality_holds(report):
    assert finals(report, .02).rows == [['w2s', '-0.01', '-0.01', 'holds']]
    assert finals(report, .005).rows[0][-1] == 'does not hold'


def test_a_run_that_diverged_does_not_count_by_its_last_good_score(write_run):
    runs = [write_run(f'base_s{i}', [.1, .4, .5], seed=i) for i in range(3)]
    runs += [
        write_run(f'w2s_s{i}', [.3, .6, end], seed=i, teacher=.3)
        for i, end in enumerate([.6, .6, None])
    ]
    assert finals(make_report(gather(runs)), .02).rows == \
        [['w2s', '–', '–', 'not known: a run ended without a score']]
