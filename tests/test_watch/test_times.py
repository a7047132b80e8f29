# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.analysis.logged_scalars import Line
from mmw2s.watch.times import log_seconds, step_seconds, validation_seconds


def lines(*times, apart=10):
    return [
        Line(i, dict(iter=apart * i, time=time))
        for i, time in enumerate(times, 1)
    ]


def history(*clocks, apart=10):
    """Validations with these clocks, of training and of the wall."""
    return [
        dict(iter=apart * i, train_seconds=train, wall_seconds=wall)
        for i, (train, wall) in enumerate(clocks, 1)
    ]


def test_the_latest_steps_count_and_a_slow_one_does_not():
    assert step_seconds(lines(9., 9., 9., 1., 1., 1., 8., 1.), []) == 1.


def test_times_under_another_name_are_known():
    assert step_seconds([Line(1, {'iter': 1, 'train/time': .5})], []) == .5


def test_a_log_without_times_leaves_the_clocks_of_the_record():
    untimed = [Line(1, dict(iter=30))]
    assert step_seconds(untimed, history((10., 12.))) == 1.
    assert step_seconds(untimed, history((10., 12.), (15., 19.))) == .5
    assert step_seconds(untimed, []) is None
    assert step_seconds(untimed, history((None, None))) is None


def test_scoring_the_teacher_is_no_validation():
    assert validation_seconds(history((10., 17.)), 5.) == 2.
    assert validation_seconds(history((10., 10.)), 5.) == 0.


def test_the_latest_validations_count():
    slow = [(10. * i, 10. * i + 9. * i) for i in range(1, 6)]
    last = [(10. * i, 10. * i + 45. + 2. * (i - 5)) for i in range(6, 11)]
    assert validation_seconds(history(*slow, *last), 0.) == pytest.approx(2.)


def test_without_a_wall_clock_validations_are_not_known():
    assert validation_seconds(history((10., None)), 0.) is None
    assert validation_seconds([], 0.) is None


def test_seconds_between_lines_of_the_log():
    assert log_seconds(lines(.5, .5, apart=50)) == 25.
    assert log_seconds(lines(.5)) == 0.
