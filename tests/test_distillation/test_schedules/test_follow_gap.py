# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest

from mmw2s.distillation.schedules import FollowGap


def val(score, iteration=1, metric='coco/bbox_mAP'):
    return dict(event='val', iter=iteration, metrics={metric: score})


def train(student, teacher, iteration=50):
    return dict(
        event='train', iter=iteration, student=student, teacher=teacher)


def strengths(schedule, rows):
    schedule.bind(1000, 100)
    found = [schedule.value(0)]
    for row in rows:
        schedule.see(row)
        found.append(schedule.value(0))
    return found


def by_score(teacher=0.4, metric='coco/bbox_mAP', **fields):
    schedule = FollowGap(**fields)
    schedule.know_teacher({metric: teacher})
    return schedule


def test_it_falls_as_the_student_comes_near_to_the_teachers_score():
    schedule = by_score(full=0.5)
    assert strengths(schedule, map(val, [0.1, 0.2, 0.3, 0.38, 0.4, 0.5])) == \
        pytest.approx([1., 1., 1., 0.5, 0.1, 0., 0.])


def test_it_rises_again_with_the_gap_and_never_ends_by_itself():
    schedule = by_score(full=0.5, peak=2.)
    assert strengths(schedule, map(val,
                                   [0.5, 0.3])) == pytest.approx([2., 0., 1.])
    assert schedule.zero_from() is None
    assert FollowGap(peak=0.).zero_from() == 0


def test_where_less_is_better_so_is_the_gap():
    schedule = by_score(10., metric='loss', full=1.)
    assert strengths(schedule, [val(s, metric='loss') for s in (15., 9.)]) == \
        pytest.approx([1., 0.5, 0.])


def test_a_validation_without_the_metric_changes_nothing():
    rows = [val(0.3), dict(event='val', iter=2, metrics={}), val(None)]
    assert strengths(by_score(full=0.5),
                     rows) == pytest.approx([1., 0.5, 0.5, 0.5])


def test_a_teacher_that_scores_0_has_any_student_behind_or_before_it():
    assert strengths(by_score(0.), map(val, [0.1, -0.1])) == [1., 0., 1.]


def test_by_training_losses_it_follows_their_averages():
    schedule = FollowGap(by='train', full=1., interval=50, momentum=0.5)
    assert not schedule.needs_validation and not schedule.needs_teacher_score
    assert schedule.train_loss_interval == 50
    rows = [
        train(1.8, 1.),
        train(1., 1., 100),  # averages 1.4 and 1
        train(9., 1., 130),  # asked for by another
        train(math.inf, 1., 150),
        val(0.9),
        train(0.4, 1., 200)  # averages 0.9 and 1
    ]
    assert strengths(schedule,
                     rows) == pytest.approx([1., 0.8, 0.4, 0.4, 0.4, 0.4, 0.])


def test_metrics_that_allow_no_comparison_are_refused_early():
    with pytest.raises(ValueError, match='none that is known as the main'):
        FollowGap().check_metrics(['a', 'b'])
    with pytest.raises(ValueError, match='give rule="greater"'):
        FollowGap().check_metrics(['FID'])


@pytest.mark.parametrize('fields, message', [
    (dict(by='test'), "FollowGap.by should be one of 'validation', 'train'"),
    (dict(full=0.), 'FollowGap.full should be a finite number > 0'),
    (dict(peak=-1.), 'FollowGap.peak should be a finite number >= 0'),
    (dict(interval=0), 'FollowGap.interval should be an integer >= 1'),
    (dict(momentum=1.), 'FollowGap.momentum should be a finite number >= 0'),
])
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        FollowGap(**fields)
