# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.report import gather, make_report
from mmw2s.report.answer import answer, figures
from mmw2s.report.summary import summary


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


def test_what_some_runs_reached_is_not_said_to_be_never_reached(write_run):
    runs = [
        write_run('base_s0', [.1, .5]),
        write_run('base_s1', [.1, .1, .1]),
        write_run('w2s_s0', [.5, .5], teacher=.3),
        write_run('w2s_s1', [.1, .1, .1, .1], teacher=.3)
    ]
    report = make_report(gather(runs), targets=[.5])
    assert answer(report)[0] == (
        'the target of 0.5 was reached by 1 of 2 runs only; of the baseline '
        'by 1 of 2 runs (2 seeds a side).')


def test_a_bound_is_not_said_to_be_a_loss(write_run):
    runs = [
        write_run('base', [.1, .1, .1, .1, .1, .5]),
        write_run('w2s', [.1, .2], teacher=.3),
        write_run('teacher', [.3], seconds=1.)
    ]
    report = make_report(gather(runs), targets=[.5])
    assert answer(report)[1] == (
        "With the teacher's own training counted: < 2.67× in wall clock, so "
        'it is not known whether time was saved.')
