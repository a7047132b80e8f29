# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.watch import Row, Stage
from mmw2s.watch.words import duration, heading, summary


@pytest.mark.parametrize('seconds, words', [
    (0.4, '0 s'),
    (59.4, '59 s'),
    (59.6, '1 min 00 s'),
    (605, '10 min'),
    (3599, '1 h 00 min'),
    (3725, '1 h 02 min'),
    (100000, '1 d 3 h'),
])
def test_durations_have_two_units(seconds, words):
    assert duration(seconds) == words


def test_a_summary_says_all_of_a_run(grow, row_of):
    grown = grow('a', teacher=.3, targets=(.2, .4)).train(10)
    grown.validate(.25).train(10).validate(.2).stop()
    assert summary(row_of('a')) == (
        'running, epoch 2.0 of 4, coco/bbox_mAP 0.2 (best 0.25), '
        'teacher 0.3, until epoch 2, target 0.2: epoch 1, '
        'target 0.4: not yet, 16 s left')


def test_a_run_that_diverged_does_not_show_its_last_good_score(grow, row_of):
    grown = grow('a').train(10).validate(.25).train(10)
    grown.validate(None)
    assert 'coco/bbox_mAP has no score now (best 0.25)' in \
        summary(row_of('a'))


def test_a_teacher_whose_weights_alone_were_taken_is_told(grow, row_of):
    grow('a', teacher=.3).stop().train(10).validate(.25)
    assert ', teacher 0.3, as a start alone, ' in summary(row_of('a'))


def test_what_is_left_out_of_a_time_is_told(grow, row_of):
    grow('a', recorded=False).train(10).validate(.1).train(10).validate(.2)
    assert summary(row_of('a')).endswith('10 s left + validations')


def test_a_run_that_counts_iterations_is_told_by_them(grow, row_of):
    grown = grow('a', recorded=False)
    (grown.log /
     'config.py').write_text('train_cfg = dict(by_epoch=False, max_iters=50)')
    grown.train(7)
    assert summary(row_of('a')) == 'running, iteration 7 of 50, 22 s left'


def test_a_heading_counts_states_and_tells_the_latest_end(grow, row_of):
    grow('a').train(10)
    grow('b').train(20)
    grow('c').finish()
    rows = [row_of(name) for name in 'abc']
    assert heading(rows) == '2 running, 1 finished, 15 s left'
    assert heading(rows, 90.) == '2 running, 1 finished, 1 min 30 s left'
    assert heading(rows[2:], 90.) == '1 finished'


def test_no_end_is_told_while_something_is_still_to_begin(grow, row_of):
    grow('a').train(10)
    rows = [row_of('a'), Row.of(Stage('b', 'waiting'))]
    assert heading(rows) == '1 running, 1 waiting'
