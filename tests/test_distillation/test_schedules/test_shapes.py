# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest

from mmw2s.distillation.schedules import Within
from mmw2s.registry import SCHEDULES

MAX_ITERS, ITERS_PER_EPOCH = 60, 10


def build(type, **kwargs):
    return SCHEDULES.build(dict(type=type, **kwargs))


def bound(type, **kwargs):
    schedule = build(type, **kwargs)
    schedule.bind(MAX_ITERS, ITERS_PER_EPOCH)
    return schedule


def values(schedule, n=MAX_ITERS):
    return [schedule.value(i) for i in range(n)]


# The same schedule in each unit, 60 iterations of 10 an epoch.
@pytest.mark.parametrize('unit,warmup,hold,decay', [
    ('iter', 4, 3, 4),
    ('epoch', 0.4, 0.3, 0.4),
    ('run', 4 / 60, 3 / 60, 4 / 60),
])
def test_warmup_hold_decay_takes_its_closed_form(unit, warmup, hold, decay):
    schedule = bound(
        'WarmupHoldDecay',
        warmup=warmup,
        hold=hold,
        decay=decay,
        peak=5.,
        unit=unit)
    want = [1, 2, 3, 4, 5, 5, 5, 4, 3, 2, 1] + [0] * 49
    assert values(schedule) == pytest.approx(want)
    assert schedule.zero_from() == 11


def test_cosine_decay_takes_its_closed_form():
    schedule = bound(
        'WarmupHoldDecay', hold=2, decay=5, unit='iter', shape='cosine')
    want = [1., 1.]
    want += [(1 + math.cos(math.pi * i / 6)) / 2 for i in range(1, 6)]
    assert values(schedule, 8) == pytest.approx(want + [0.])


def test_a_warmup_never_gives_zero():
    for warmup in (0, 1, 7):
        schedule = bound('WarmupHoldDecay', warmup=warmup, unit='iter')
        assert 0 < schedule.value(0) <= schedule.value(warmup) == 1


def test_hold_none_keeps_the_peak_until_something_else_ends_it():
    schedule = bound('WarmupHoldDecay', warmup=1, peak=2.)
    assert set(values(schedule)[10:]) == {2.}
    assert schedule.value(10**9) == 2.
    assert schedule.zero_from() is None


@pytest.mark.parametrize('unit,begin,length', [('iter', 5, 20),
                                               ('epoch', 0.5, 2),
                                               ('run', 5 / 60, 20 / 60)])
def test_linear_and_cosine_take_their_closed_forms(unit, begin, length):
    kwargs = dict(start=6, end=1, begin=begin, length=length, unit=unit)
    shares = [min(max((i - 5) / 20, 0), 1) for i in range(MAX_ITERS)]
    assert values(bound('Linear', **kwargs)) == pytest.approx(
        [6 - 5 * share for share in shares])
    assert values(bound('Cosine', **kwargs)) == pytest.approx(
        [1 + 5 * (1 + math.cos(math.pi * share)) / 2 for share in shares])


@pytest.mark.parametrize('type', ['Linear', 'Cosine'])
def test_a_ramp_without_length_fills_the_rest_of_the_run(type):
    schedule = bound(type, start=6, end=1, begin=1)
    assert schedule.value(10) == 6
    assert schedule.value(11) < 6
    assert 1 < schedule.value(MAX_ITERS - 1) < 1.2
    assert schedule.value(MAX_ITERS) == 1


def test_a_ramp_without_length_that_begins_after_the_run_keeps_its_start():
    schedule = bound('Linear', start=6, end=1, begin=9)
    assert set(values(schedule)) == {6.}


def test_a_ramp_of_length_zero_is_a_step():
    schedule = bound('Linear', start=6, end=1, begin=1, length=0)
    assert values(schedule) == [6.] * 10 + [1.] * 50


def test_constant_is_constant():
    schedule = bound('Constant', value=0.3)
    assert set(values(schedule)) == {0.3} and schedule.span == 0


@pytest.mark.parametrize(
    'cfg', [
        dict(type='Constant', value=0),
        dict(type='Constant', value=1),
        dict(type='Linear', start=1, end=0, length=2),
        dict(type='Linear', start=1, end=0, begin=1, length=0),
        dict(type='Linear', start=1, end=0, begin=0, length=0),
        dict(type='Linear', start=1, end=0),
        dict(type='Linear', start=0, end=0, length=2),
        dict(type='Linear', start=0, end=1, length=2),
        dict(type='Linear', start=1, end=0, begin=7),
        dict(type='Cosine', start=1, end=0, begin=0.33, length=0.77),
        dict(type='Cosine', start=1, end=0, length=0.9, unit='run'),
        dict(type='WarmupHoldDecay'),
        dict(type='WarmupHoldDecay', peak=0),
        dict(type='WarmupHoldDecay', hold=0),
        dict(type='WarmupHoldDecay', warmup=2, hold=0),
        dict(type='WarmupHoldDecay', hold=2.25, decay=0.25),
        dict(type='WarmupHoldDecay', warmup=0.26, hold=1.26, decay=1.26),
        dict(
            type='WarmupHoldDecay', warmup=1, hold=1, decay=3, shape='cosine'),
        dict(type='WarmupHoldDecay', warmup=.1, hold=.2, decay=.7, unit='run'),
        dict(type='WarmupHoldDecay', warmup=1, hold=90, unit='iter'),
    ],
    ids=str)
def test_zero_from_is_where_the_last_nonzero_value_ends(cfg):
    schedule = bound(**cfg)
    horizon = 4 * MAX_ITERS
    nonzero = [i for i in range(horizon) if schedule.value(i) != 0]
    want = nonzero[-1] + 1 if nonzero else 0
    assert schedule.zero_from() == (None if want == horizon else want)


@pytest.mark.parametrize('cfg,end', [
    (dict(type='WarmupHoldDecay', warmup=1, hold=4, decay=2), 70),
    (dict(type='WarmupHoldDecay', hold=0.9, decay=0.2, unit='run'), 66),
    (dict(type='Linear', start=1, end=0, length=61, unit='iter'), 61),
    (dict(type='Cosine', start=1, end=0, begin=6.5), 65),
])
def test_a_schedule_longer_than_the_run_warns_and_names_both(cfg, end, warned):
    bound(**cfg)
    message, = warned
    assert cfg['type'] in message
    assert f'{end} iterations' in message and 'only 60' in message


@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='Linear', start=1, end=0, length=1),  # all of an epoch
        dict(type='WarmupHoldDecay', warmup=1, hold=3, decay=2),
        dict(type='WarmupHoldDecay', warmup=.1, hold=.2, decay=.7, unit='run'),
        dict(type='WarmupHoldDecay', warmup=1),
        dict(type='Linear', start=6, end=1),
        dict(type='Constant', value=1),
    ])
def test_a_schedule_that_fits_does_not_warn(cfg, warned):
    bound(**cfg)
    assert not warned


@pytest.mark.parametrize('cfg,message', [
    (dict(type='WarmupHoldDecay', warmup=-1), 'WarmupHoldDecay.warmup .*-1'),
    (dict(type='WarmupHoldDecay', hold=-1), 'WarmupHoldDecay.hold .*-1'),
    (dict(type='WarmupHoldDecay', hold=1,
          decay=math.inf), 'Decay.decay .*inf'),
    (dict(type='WarmupHoldDecay', peak=math.nan), 'Decay.peak .*nan'),
    (dict(type='WarmupHoldDecay', warmup='1'), "Decay.warmup .*'1'"),
    (dict(type='WarmupHoldDecay', decay=1), 'hold=None .*decay=1'),
    (dict(type='WarmupHoldDecay', shape='step'), "'linear', 'cosine'.*'step'"),
    (dict(type='WarmupHoldDecay', unit='epochs'), "'iter', 'run'.*'epochs'"),
    (dict(type='Linear', start=-1, end=0), 'Linear.start .*-1'),
    (dict(type='Cosine', start=1, end=math.nan), 'Cosine.end .*nan'),
    (dict(type='Linear', start=1, end=0, length=-2), 'Linear.length .*-2'),
    (dict(type='Linear', start=1, end=0, begin=-2), 'Linear.begin .*-2'),
    (dict(type='Constant', value=math.inf), 'Constant.value .*inf'),
])
def test_bad_fields_are_refused_by_name(cfg, message):
    with pytest.raises(ValueError, match=message):
        build(**cfg)


@pytest.mark.parametrize('unit, told', [('run', ' (a share of the run)'),
                                        ('iter', '')])
def test_a_span_is_called_a_share_where_it_is_one(unit, told):
    with pytest.raises(ValueError) as refused:
        build('WarmupHoldDecay', warmup=-1, unit=unit)
    assert str(
        refused.value).startswith(f'WarmupHoldDecay.warmup{told} should be')


def test_an_unknown_field_is_refused_with_the_nearest_name():
    with pytest.raises(TypeError, match='did you mean "warmup"'):
        build('WarmupHoldDecay', warm_up=1)


def test_an_unknown_schedule_is_refused_with_the_nearest_name():
    with pytest.raises(KeyError, match='WarmupHoldDecay'):
        build('WarmUpHoldDecay')


@pytest.mark.parametrize('max_iters,iters_per_epoch,name',
                         [(0, 1, 'max_iters'), (1.5, 1, 'max_iters'),
                          (1, -1, 'iters_per_epoch'),
                          (1, 0, 'iters_per_epoch')])
def test_a_run_without_length_is_refused(max_iters, iters_per_epoch, name):
    with pytest.raises(ValueError, match=f'{name} should be a positive'):
        build('Constant', value=1).bind(max_iters, iters_per_epoch)


@pytest.mark.parametrize('cfg', [
    dict(type='WarmupHoldDecay', warmup=1),
    dict(type='Linear', start=1, end=0),
])
def test_a_schedule_that_is_not_bound_says_so(cfg):
    schedule = build(**cfg)
    for ask in (lambda: schedule.value(0), schedule.zero_from):
        with pytest.raises(RuntimeError, match=r'call bind\(\) first'):
            ask()


@pytest.mark.parametrize('cfg, top', [
    (dict(type='Constant', value=1.), 0),
    (dict(type='Linear', start=0., end=1., begin=1, length=2), 30),
    (dict(type='Linear', start=1., end=0., begin=1, length=2), 0),
    (dict(type='Cosine', start=1., end=1., begin=1, length=2), 0),
    (dict(type='WarmupHoldDecay', warmup=2, hold=1), 20),
])
def test_the_iteration_of_the_highest_value(cfg, top):
    assert bound(**cfg).top_iter() == top


def test_a_strength_of_0_all_along_is_0_from_the_start():
    for cfg in (dict(type='Constant', value=0.),
                dict(type='Linear', start=0., end=0., begin=1,
                     length=2), dict(type='WarmupHoldDecay', peak=0., hold=3)):
        assert bound(**cfg).zero_from() == 0


@pytest.mark.parametrize('end', [0.5, 1e-9])
def test_a_ramp_that_ends_above_0_is_never_0(end):
    assert bound('Linear', start=1., end=end).zero_from() is None


class TestStage:

    def test_it_is_1_within_its_span_alone(self):
        stage = Within(begin=0.2, end=0.5, unit='run')
        stage.bind(10, 5)
        assert [stage.value(i)
                for i in range(10)] == [0.] * 2 + [1.] * 3 + [0.] * 5
        assert stage.top_iter() == 2 and stage.zero_from() == 5

    def test_without_an_end_it_stays(self):
        stage = Within(begin=1)
        stage.bind(20, 5)
        assert [stage.value(i) for i in (4, 5, 19)] == [0., 1., 1.]
        assert stage.zero_from() is None

    def test_stages_that_meet_leave_no_iteration_out(self):
        ends = [0., 0.137, 0.5, 1.]
        stages = [
            Within(begin=a, end=b, unit='run') for a, b in zip(ends, ends[1:])
        ]
        for stage in stages:
            stage.bind(101, 101)
        assert {sum(s.value(i) for s in stages) for i in range(101)} == {1.}

    @pytest.mark.parametrize('fields, message', [
        (dict(begin=2, end=2), 'Within.end should be after begin'),
        (dict(begin=-1), 'Within.begin should be a finite number >= 0'),
        (dict(end=1.5, unit='run'), r'Within.end \(a share of the run\) shou'),
    ])
    def test_bad_fields_are_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            Within(**fields)
