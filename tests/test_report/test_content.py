# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from recorded import METRIC

from mmw2s.report import gather, make_report
from mmw2s.report.answer import answer, figures
from mmw2s.report.gains import finals, gains
from mmw2s.report.summary import summary, values


def test_axes_are_what_all_runs_tell(report):
    assert [axis.key for axis in report.axes] == \
        ['epochs', 'iterations', 'time', 'time+teacher']
    assert report.axes[2].unit == 'wall_seconds'
    assert report.axes[3].counted and not report.axes[2].counted


def test_without_a_teachers_training_there_is_no_axis_for_it(folders):
    report = make_report(gather(folders[:6]))
    assert [a.key for a in report.axes] == ['epochs', 'iterations', 'time']


def test_all_metrics_with_a_known_better_side_are_there(write_run):
    rows = [{METRIC: .1 * i, 'fid_50': 9. - i, 'odd': 1.} for i in (1, 2)]
    report = make_report(gather([write_run('a', rows)]))
    assert report.metrics == {METRIC: 'greater', 'fid_50': 'less'}


def test_the_answer_is_the_gain_and_what_it_cost(report):
    first, *more = answer(report)
    assert first == ("80 % of the baseline's best in 2 epochs instead of 4 "
                     '(2.00×; 3 seeds a side).')
    # The baseline: 4 epochs of 12 s. The other: 2, and the teacher's 14 s.
    assert more == [
        "With the teacher's own training counted: 1.26× in wall clock.",
        'It ends worse than the baseline: best coco/bbox_mAP 0.49 against '
        '0.5.'
    ]


def test_a_loss_is_told_as_a_loss(write_run):
    runs = [
        write_run('base', [.4, .5]),
        write_run('w2s', [.1, .2, .3, .4], teacher=.2)
    ]
    report = make_report(gather(runs), targets=[.4, .5])
    assert answer(report)[0] == ('the target of 0.4 in 4 epochs instead of 1 '
                                 '(0.25×, which is slower; 1 seed a side).')
    slower, never = figures(report)
    assert slower.value == '0.25×' and not slower.is_gain
    assert never.value == '< 0.50×' and never.cost == '2 → never epochs'
    report = make_report(gather(runs), targets=[.5])
    assert answer(report)[0].startswith(
        'the target of 0.5 was never reached in 4 epochs; the baseline did in '
        '2')


def test_of_several_settings_the_fastest_is_named(write_run):
    runs = [
        write_run('base', [.1, .2, .3, .5]),
        write_run('a', [.1, .3, .5], teacher=.3),
        write_run('b', [.5, .5], teacher=.3)
    ]
    said = answer(make_report(gather(runs), targets=[.5]))
    assert said[0].startswith('a: the target of 0.5 in 3 epochs')
    assert said[-1] == 'The fastest of 2 settings there is b, at 4.00×.'


def test_what_has_not_finished_is_not_said_to_end_worse(write_run):
    runs = [
        write_run('base', [.1, .2, .3, .5]),
        write_run('w2s', [.2, .4], teacher=.3, finished=False)
    ]
    assert answer(make_report(gather(runs)))[-1] == (
        'Not all runs have finished. So far: best coco/bbox_mAP 0.4 against '
        '0.5.')


def test_of_two_that_are_as_fast_none_is_called_the_fastest(write_run):
    runs = [write_run('base', [.1, .2, .3, .5])]
    runs += [write_run(name, [.1, .5], teacher=.3) for name in 'abc']
    said = answer(make_report(gather(runs), targets=[.5]))
    assert not any('fastest' in sentence for sentence in said)


def test_a_run_alone_is_told_without_a_comparison(write_run):
    report = make_report(gather([write_run('x', [.1, .5], teacher=.3)]))
    assert answer(report)[0] == 'x: best coco/bbox_mAP 0.5.'
    assert not report.comparisons and figures(report) == []
    assert 'no baseline to compare with' in report.notes[0]
    row, = summary(report).rows
    assert [cell.text
            for cell in row] == ['x', '1', '2', '2', '2', '0.5', '0.5']


def test_where_less_is_better_less_is_faster(write_run):
    runs = [
        write_run('base', [4., 3., 2.], metric='loss'),
        write_run('w2s', [2., 2., 2.], metric='loss', teacher=3.)
    ]
    report = make_report(gather(runs))
    assert report.metrics == {'loss': 'less'}
    assert [target.value for target in report.targets['loss']] == \
        pytest.approx([2.5, 2.222222, 2.105263])
    assert '1 epoch instead of 3 (3.00×' in answer(report)[0]


def test_a_metric_without_a_positive_best_has_no_targets(write_run):
    rows = [{METRIC: .1, 'coco/bbox_mAP_s': 0.}]
    report = make_report(gather([write_run('a', rows)]))
    assert report.targets['coco/bbox_mAP_s'] == []
    assert len(report.targets[METRIC]) == 3


def test_runs_without_a_metric_in_common_are_refused(write_run):
    runs = [write_run('a', [.1], metric='acc'), write_run('b', [.1])]
    with pytest.raises(
            ValueError, match='in common.*a: acc; b: coco/bbox_mAP'):
        make_report(gather(runs))


def test_targets_that_are_no_numbers_are_refused(folders):
    with pytest.raises(ValueError, match='a target should be a number'):
        make_report(gather(folders), targets=['most'])


def test_a_row_of_the_summary_has_cost_gain_and_quality(report):
    found = summary(report)
    base, taught = found.rows
    assert str(base[3]) == '4' and str(taught[3]) == '2: 2.00×, counted 1.26×'
    assert [str(cell) for cell in taught][-3:] == ['0.49', '0.49', '3 (2–4)']
    assert found.header[-1] == 'distilled until'


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


def test_the_last_score_says_of_how_many_runs_it_is(write_run):
    runs = [
        write_run(f'base_s{i}', [.4, end], seed=i)
        for i, end in enumerate([.5, None])
    ]
    row, = summary(make_report(gather(runs))).rows
    assert str(row[-1]) == '0.5: 1 of 2 runs'


def test_the_values_of_the_curves_can_be_read(report):
    table = values(report)
    assert table.header == ['epoch', 'base', 'w2s']
    assert table.rows[1] == ['2', '0.2', '0.4']
