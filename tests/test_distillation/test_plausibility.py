# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from entries import CLS, FPN, entry

from mmw2s.distillation.plausibility import warn_of_odd_settings
from mmw2s.distillation.terms import build_terms
from mmw2s.registry import SCHEDULES, STOP_RULES

LENGTH = (100, 10)  # iterations, and of an epoch
FULL = dict(type='Constant', value=1.)
LATE = dict(type='At', iter=90)


def look(schedule=FULL, stop=LATE, distill=(FPN, ), **given):
    schedule, stop = SCHEDULES.build(schedule), STOP_RULES.build(stop)
    schedule.bind(*LENGTH)
    stop.bind(*LENGTH)
    warn_of_odd_settings(schedule, build_terms(list(distill)), stop, **given)


def hold(**fields):
    return dict(type='WarmupHoldDecay', **fields)


@pytest.mark.parametrize('schedule', [
    FULL,
    hold(warmup=0.5),
    hold(warmup=2, hold=3, decay=2),
    hold(warmup=.02, hold=.13, decay=.15, unit='run'),
    hold(warmup=5, unit='iter'),
    dict(type='Linear', start=1., end=0.),
])
def test_what_is_meant_so_is_not_warned_of(schedule, warned):
    look(schedule)
    assert not warned


@pytest.mark.parametrize('schedule', [
    hold(warmup=0.02, hold=0.13, decay=0.15),
    hold(hold=5, unit='iter'),
    dict(type='Linear', start=1., end=0., length=0.5),
])
def test_a_schedule_that_is_over_within_the_first_epoch_is_warned_of(
        schedule, warned):
    look(schedule)
    message, = warned
    assert 'within the first epoch' in message and "unit='run'" in message


def test_in_a_run_of_one_epoch_it_is_not(warned):
    SCHEDULES.build(hold(hold=0.5)).bind(10, 10)
    assert not warned


@pytest.mark.parametrize('schedule', [
    hold(hold=0.13, unit='iter'),
    hold(hold=0.001, decay=0.003),
])
def test_a_span_of_no_iteration_is_warned_of(schedule, warned):
    look(schedule)
    assert 'needs 0 iterations' in warned[0]
    assert 'strength is 0 all along' in warned[1]


@pytest.mark.parametrize('schedule', [
    dict(type='Constant', value=0.),
    hold(peak=0.),
    hold(hold=0.),
    dict(type='Linear', start=0., end=0.),
])
def test_a_strength_of_0_all_along_is_warned_of(schedule, warned):
    look(schedule)
    assert 'strength is 0 all along' in warned[0]


def test_loss_weights_that_are_all_0_are_warned_of(warned):
    none = [entry(FPN, loss_loss_weight=0.), entry(CLS, loss_loss_weight=0)]
    look(distill=none)
    assert 'loss_weight of PKDLoss (loss_kd_fpn), Qual' in warned[0]
    del warned[:]
    look(distill=[none[0], CLS])
    assert not warned


@pytest.mark.parametrize('schedule, stop', [
    (hold(warmup=5), dict(type='At', epoch=3)),
    (hold(warmup=0.6, unit='run'),
     dict(
         type='SurpassTeacher',
         latest=0.3,
         metric='mAP',
         rule='greater',
         teacher_score=0.3)),
    (dict(type='Linear', start=0., end=1.), dict(type='At', iter=30)),
])
def test_a_stop_before_the_full_strength_is_warned_of(schedule, stop, warned):
    look(schedule, stop)
    message, = warned
    assert 'at iteration 30, before the schedule' in message


def test_a_stop_at_once_is_warned_of(warned):
    look(stop=dict(type='At', iter=0))
    assert 'at iteration 0: nothing is distilled' in warned[0]


def test_a_stop_beyond_the_default_schedule_is_warned_of(warned):
    fading = hold(hold=2, decay=2)
    look(fading, stop_cfg=LATE)
    assert not warned
    look(fading, stop_cfg=LATE, is_default_schedule=True)
    assert 'has faded to 0' in warned[0]


def test_a_default_schedule_that_never_ends_may_be_stopped(warned):
    look(stop=LATE, stop_cfg=LATE, is_default_schedule=True)
    assert not warned
