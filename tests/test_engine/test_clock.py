# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.engine.clock import Clock


def test_only_running_time_is_counted(now):
    measured = Clock()
    assert not measured.running and measured.seconds == 0
    measured.start()
    now[0] += 2
    assert measured.running and measured.seconds == 2
    measured.stop()
    now[0] += 50
    measured.start()
    now[0] += 1
    assert measured.seconds == 3


def test_starting_or_stopping_twice_changes_nothing(now):
    measured = Clock(10)
    measured.stop()
    measured.start()
    now[0] += 2
    measured.start()
    now[0] += 2
    measured.stop()
    measured.stop()
    assert measured.seconds == 14
