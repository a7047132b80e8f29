# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from mmw2s.engine.logged_scalars import StepTimes


@pytest.fixture
def runner():
    return SimpleNamespace(message_hub=MessageHub.get_instance('step_times'))


def take(runner, seconds):
    runner.message_hub.update_scalar('train/time', seconds)


def test_both_sides_are_medians_of_the_window(runner, monkeypatch):
    monkeypatch.setattr(StepTimes, 'window', 3)
    for seconds in (9., 1., 1.2, 7.):  # the first is outside the window
        take(runner, seconds)
    times = StepTimes()
    times.set_point(runner)
    assert times.before == pytest.approx(1200)
    told = []
    for seconds in (0.5, 0.9, 0.1, 0.1):
        take(runner, seconds)
        told.append(times.after_step(runner))
    assert told == [None, None, pytest.approx(500), None]


def test_without_a_timer_nothing_is_known_and_nothing_breaks(runner):
    times = StepTimes()
    times.set_point(runner)
    assert times.before is None and times.after_step(runner) is None


def test_nothing_is_counted_before_the_point(runner):
    take(runner, 1.)
    assert StepTimes().after_step(runner) is None


def test_steps_that_take_turns_are_taken_together(runner):
    # A validation before the first turn, and one step in four has a teacher.
    for seconds in (50., 4., 1., 1., 2., 4., 1., 1., 2., 4., 1., 1., 90.):
        take(runner, seconds)
    times = StepTimes()
    times.set_point(runner, 4)
    assert times.before == pytest.approx(2000)
    times.set_point(runner, 99)
    assert times.before == pytest.approx(1000 * 162 / 13)
