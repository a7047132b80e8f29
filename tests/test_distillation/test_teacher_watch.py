# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.

import pytest

from mmw2s.distillation.teacher_watch import TeacherWatch


def watch(score=.2, rule='greater', max_iters=1000, metric='acc'):
    return TeacherWatch(metric, score, rule, max_iters)


def row(iteration, score, metric='acc'):
    return dict(event='val', iter=iteration, metrics={metric: score})


def test_a_teacher_surpassed_in_the_first_validation_is_told_of():
    warning = watch().see(row(100, .21))
    assert 'already in its first validation' in warning
    assert 'acc 0.2' in warning and 'best so far of 0.21' in warning
    assert 'larger teacher' in warning  # what to do


def test_a_teacher_surpassed_soon_after_it_is_told_of_too():
    seen = watch()
    assert seen.see(row(100, .1)) is None
    assert 'already after 20% of the run' in seen.see(row(200, .21))


def test_a_teacher_surpassed_late_is_as_it_should_be():
    seen = watch()
    assert seen.see(row(100, .1)) is None
    assert seen.see(row(300, .21)) is None
    assert seen.see(row(1000, .23)) is None


def test_the_first_validation_late_in_the_run_says_nothing_of_its_being_early(
):
    assert watch().see(row(600, .21)) is None
    assert watch().see(row(1000, .21)) is None


def test_a_teacher_that_is_too_weak_for_the_best_so_far_is_told_of_once():
    seen = watch()
    assert seen.see(row(100, .1)) is None
    assert seen.see(row(500, .23)) is None
    warning = seen.see(row(600, .25))
    assert warning.startswith('The teacher is too weak')
    assert '80% as good' in warning
    assert seen.see(row(700, .3)) is None


def test_an_early_warning_is_followed_by_a_certain_one():
    seen = watch()
    assert 'probably' in seen.see(row(100, .21))
    assert seen.see(row(200, .22)) is None
    assert seen.see(row(300, .3)).startswith('The teacher is too weak')


def test_less_may_be_better():
    seen = watch(score=10., rule='less')
    assert seen.see(row(100, 12.)) is None
    assert seen.see(row(500, 9.)) is None
    assert 'too weak' in seen.see(row(600, 8.))


@pytest.mark.parametrize('metrics', [{}, {'acc': None}, {'acc': float('nan')}])
def test_a_validation_without_the_metric_says_nothing(metrics):
    seen = watch()
    assert seen.see(dict(iter=100, metrics=metrics)) is None
    assert seen.so_far() is None
    # It is not the first validation that could tell either.
    assert 'first validation' in seen.see(row(200, .21))


def test_a_score_that_is_not_positive_has_no_share():
    seen = watch(score=-1.)
    assert 'first validation' in seen.see(row(100, 0.))
    assert seen.judge() is None


def test_a_resumed_run_is_not_told_again():
    rows = [
        dict(event='teacher', iter=0, metric='acc', score=.2),
        row(100, .3)
    ]
    seen = TeacherWatch.of_record(rows, 1000, 'greater')
    assert seen.see(row(200, .31)) is None
    assert 'best so far of 0.31' in seen.so_far()


@pytest.mark.parametrize('teacher', [
    dict(metric=None, score=None),
    dict(metric='training loss', score=None),
    dict(metric='whatever_it_means', score=.3)
])
def test_without_a_score_or_a_better_side_nobody_watches(teacher):
    rows = [dict(event='teacher', iter=0, **teacher)]
    assert TeacherWatch.of_record(rows, 1000) is None


def after_the_stop(student_best):
    rows = [
        dict(event='teacher', iter=0, metric='acc', score=.2),
        row(100, .1),
        dict(event='stop', iter=150)
    ]
    return TeacherWatch.of_record(
        rows, 1000, 'greater', student_best=student_best)


def test_a_run_resumed_after_the_stop_knows_the_best_since_the_stop(said):
    seen = after_the_stop(student_best=.3)
    seen.tell(row(1000, .25))
    seen.tell_at_the_end()
    text, = said
    assert 'student\'s best of 0.3: 67% as good, too weak' in text


def test_it_has_no_verdict_without_the_validation_after_its_checkpoint(said):
    after_the_stop(student_best=.3).tell_at_the_end()
    assert said == []


def test_what_the_last_validation_shows_is_said_in_the_verdict_alone(said):
    seen = watch()
    seen.tell(row(500, .1))
    seen.tell(row(1000, .3))
    assert said == []
    seen.tell_at_the_end()
    assert 'too weak' in said[0]


def test_a_student_on_its_way_is_given_no_share_of_its_teacher():
    seen = watch()
    seen.see(row(100, .02))
    assert seen.so_far() is None


@pytest.mark.parametrize('best, is_warning, verdict',
                         [(.5, True, 'too weak'), (.22, False, 'useful'),
                          (.1, False, 'too strong')])
def test_the_end_of_the_run_has_a_verdict(said, warned, best, is_warning,
                                          verdict):
    seen = watch()
    seen.tell_at_the_end()
    assert said == []  # nothing was validated
    seen.see(row(900, best))
    seen.tell_at_the_end()
    assert verdict in said[0] and bool(warned) == is_warning
