# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch

from mmw2s.utils.timing import Clock, Stopwatch

on_cpu = pytest.mark.skipif(
    torch.cuda.is_available(), reason='CUDA is read one step later')


def test_there_is_no_time_before_the_first_measurement():
    assert Stopwatch().ms is None


@on_cpu
def test_it_gives_the_milliseconds_of_the_latest_measurement(now):
    watch = Stopwatch()
    for seconds in (0.5, 0.25):
        with watch:
            now[0] += seconds
        assert watch.ms == 1000 * seconds


@on_cpu
def test_its_median_is_that_of_the_latest_measurements(now):
    watch = Stopwatch(window=3)
    for seconds in (16., 0.5, 0.25, 8.):  # the first is outside the window
        with watch:
            now[0] += seconds
    assert watch.ms == 8000 and watch.median_ms == 500


@on_cpu
def test_more_adds_to_the_latest_measurement(now):
    watch = Stopwatch()
    for seconds in (0.5, 0.25):
        with watch:
            now[0] += seconds
        now[0] += 99.
        with watch.more():
            now[0] += 4.
        assert watch.ms == 1000 * (seconds + 4)


@on_cpu
def test_it_measures_and_passes_on_an_error(now):
    watch = Stopwatch()
    with pytest.raises(RuntimeError, match='meant'):
        with watch:
            now[0] += 0.5
            raise RuntimeError('meant')
    assert watch.ms == 500


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
