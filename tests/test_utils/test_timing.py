# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import time

import pytest
import torch

from mmw2s.utils.timing import Clock, Stopwatch

on_cpu = pytest.mark.skipif(
    torch.cuda.is_available(), reason='CUDA is read one step later')


def test_there_is_no_time_before_the_first_measurement():
    assert Stopwatch().ms is None


@on_cpu
def test_it_gives_the_milliseconds_of_the_latest_measurement():
    watch = Stopwatch()
    with watch:
        time.sleep(0.03)
    assert 30 <= watch.ms < 1000
    with watch:
        pass
    assert watch.ms < 20


@on_cpu
def test_its_median_is_that_of_the_latest_measurements():
    watch = Stopwatch(window=3)
    for seconds in (0.2, 0.001, 0.03, 0.1):  # the first is outside the window
        with watch:
            time.sleep(seconds)
    assert watch.ms >= 100
    assert 30 <= watch.median_ms < 100


@on_cpu
def test_more_adds_to_the_latest_measurement():
    watch = Stopwatch()
    for seconds in (0.05, 0.):
        with watch:
            time.sleep(seconds)
        with watch.more():
            time.sleep(seconds)
        assert watch.ms >= 2000 * seconds
    assert watch.ms < 50


@on_cpu
def test_it_measures_and_passes_on_an_error():
    watch = Stopwatch()
    with pytest.raises(RuntimeError):
        with watch:
            raise RuntimeError
    assert watch.ms is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_on_cuda_it_never_waits_and_gives_the_time_once_it_is_known():
    watch = Stopwatch()
    with watch:
        torch.cuda._sleep(10_000_000)
    torch.cuda.synchronize()
    assert watch.ms > 0


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
