# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.distillation.stop_rules import StopOnConflict, StopOnSaturation


def rows(event, values, interval=10, key='all'):
    return [
        dict(event=event, iter=(i + 1) * interval, values={key: value})
        for i, value in enumerate(values)
    ]


def stopped_at(rule, given):
    """The place of the row after which the rule stops, None if none."""
    return next((i for i, row in enumerate(given) if rule.after(row)), None)


def conflict(**fields):
    return StopOnConflict(**{**dict(interval=10, momentum=0.5), **fields})


def saturation(**fields):
    return StopOnSaturation(**{**dict(interval=10, momentum=0.), **fields})


def test_a_conflict_has_to_last():
    # Averages: 0.4, 0, -0.2, 0.1, -0.15, -0.275, -0.3375.
    cosines = [0.4, -0.4, -0.4, 0.4, -0.4, -0.4, -0.4]
    assert stopped_at(conflict(looks=3), rows('cosine', cosines)) == 6
    assert stopped_at(conflict(looks=1), rows('cosine', cosines)) == 2
    assert stopped_at(
        conflict(looks=1, threshold=-0.3), rows('cosine', cosines)) == 6


def test_its_reason_and_its_state_in_words():
    rule = conflict(looks=2)
    first, second = rows('cosine', [-0.2, -0.6])
    assert rule.after(first) is None
    assert rule.after(second) == ('the cosine of its gradient and the task\'s '
                                  'was below 0 in 2 looks in a row')
    assert rule.scores() == dict(
        metric='gradient cosine', student=pytest.approx(-0.4))
    assert rule.condition().endswith('is below 0')


def test_an_overflow_counts_neither_for_nor_against():
    given = rows('cosine', [-1., None, -1.])
    rule = conflict(looks=2)
    assert [rule.after(row) is None for row in given] == [True, True, False]


def test_a_loss_that_hardly_falls_is_saturated():
    falling = [1 / (1 + i) for i in range(10)]  # by 10 % or more
    flat = [0.1, 0.099, 0.0985, 0.0984]
    rule = saturation(patience=3, min_gain=0.02)
    assert stopped_at(rule, rows('kd_loss', falling + flat)) == 12
    rule = saturation(patience=3, min_gain=0.01)
    assert stopped_at(rule, rows('kd_loss', falling + flat)) is None


def test_the_loss_is_averaged_over_looks():
    rule = saturation(momentum=0.9)
    for row in rows('kd_loss', [2., 1.]):
        rule.after(row)
    assert rule.scores()['student'] == pytest.approx(1.9)


@pytest.mark.parametrize('make, event', [(conflict, 'cosine'),
                                         (saturation, 'kd_loss')])
def test_it_looks_at_the_first_step_that_it_can_in_each_interval(make, event):
    rule = make()
    assert [i for i in range(12) if rule.is_due(i)] == [9, 10, 11]
    rule.after(dict(event=event, iter=13, values=dict(all=0.5)))
    assert [i for i in range(13, 22) if rule.is_due(i)] == [19, 20, 21]


def test_rows_of_others_are_not_for_it():
    rule = conflict(looks=1)
    rule.entry = 'loss_kd_fpn'
    others = [
        dict(event='kd_loss', iter=10, values=dict(loss_kd_fpn=-1.)),
        dict(event='cosine', iter=10, values=dict(all=-1., loss_kd_cls=-1.)),
        dict(event='val', iter=10, metrics={}),
    ]
    assert all(rule.after(row) is None for row in others)
    own = dict(event='cosine', iter=10, values=dict(loss_kd_fpn=-1.))
    assert rule.after(own) is not None
    # Another rule's look, between two of its own.
    assert rule.after(dict(own, iter=15)) is None


@pytest.mark.parametrize('make, event', [(conflict, 'cosine'),
                                         (saturation, 'kd_loss')])
def test_replayed_rows_decide_alike_at_every_cut(make, event):
    values = [0.5, 0.3, -0.4, 0.2, -0.5, -0.6, -0.4, -0.6, -0.7, -0.8]
    given = rows(event, values)
    whole = make()
    unbroken = [whole.after(row) for row in given]
    for cut in range(len(given)):
        resumed = make()
        for row in given[:cut]:
            resumed.after(row)
        assert [resumed.after(row) for row in given[cut:]] == unbroken[cut:]


@pytest.mark.parametrize('make, fields, message', [
    (conflict, dict(interval=0), 'StopOnConflict.interval should be an int'),
    (conflict, dict(threshold=2.), 'threshold should be a finite number >= -'),
    (conflict, dict(looks=0), 'looks should be an integer >= 1'),
    (conflict, dict(momentum=1.), 'momentum should be a finite number >= 0'),
    (saturation, dict(patience=0), 'patience should be an integer >= 1'),
    (saturation, dict(min_gain=1.), 'min_gain should be a finite number >='),
])
def test_bad_fields_are_refused(make, fields, message):
    with pytest.raises(ValueError, match=message):
        make(**fields)
