# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from mmw2s.engine.finite_losses import FiniteLosses, has_loss_scaler
from mmw2s.engine.hooks import weak_teacher_distill_hook

DISTILLED, OWN, GRAD = 'loss_kd_fpn', 'loss_cls', 'grad_norm'
NAN = math.nan


def optim_wrapper(scaler=None):
    weight = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.1))
    if scaler is not None:
        wrapper.loss_scaler = torch.amp.GradScaler('cpu', enabled=scaler)
    return wrapper


def look(*steps, scaler=None, loss_is_a_sum=True):
    hub = MessageHub.get_instance('finite')
    runner = SimpleNamespace(
        message_hub=hub, iter=6, optim_wrapper=optim_wrapper(scaler))
    losses = FiniteLosses()
    for step in steps:
        for key, value in step.items():
            hub.update_scalar(f'train/{key}', value)
        outputs = {k: v for k, v in step.items() if k != GRAD}
        losses.check(runner, outputs, loss_is_a_sum)


FINE = {DISTILLED: 1., OWN: 1., 'loss': 2.}
ALL_BROKEN = {DISTILLED: NAN, OWN: NAN, 'loss': NAN}


def test_a_distillation_loss_alone_ends_the_run_with_a_scaler_too():
    for scaler in (None, True):
        with pytest.raises(
                FloatingPointError, match=f'{DISTILLED} is not finite'):
            look({DISTILLED: NAN, OWN: 1., 'loss': NAN}, scaler=scaler)


def test_a_gradient_that_is_not_finite_ends_a_run_without_a_scaler():
    with pytest.raises(FloatingPointError, match='gradient is not finite'):
        look({**FINE, GRAD: math.inf})


def test_weights_that_a_gradient_has_broken_end_a_run_without_a_scaler():
    with pytest.raises(FloatingPointError, match='weights are not any more'):
        look(FINE, ALL_BROKEN)


def test_a_scaler_that_is_switched_off_excuses_nothing():
    with pytest.raises(FloatingPointError):
        look({**FINE, GRAD: NAN}, scaler=False)


def test_a_scaler_deals_with_overflows():
    look(FINE, {**FINE, GRAD: math.inf}, ALL_BROKEN, scaler=True)


def test_a_student_that_was_never_finite_is_its_own_affair():
    look(ALL_BROKEN, ALL_BROKEN)


def test_a_step_without_distillation_is_not_looked_at():
    look({OWN: NAN, 'loss': NAN, GRAD: NAN})


def test_a_logged_value_that_is_no_loss_may_be_nan():
    look(FINE, {**FINE, 'acc': NAN})


def test_without_the_hook_that_brings_losses_to_the_host_nothing_is_read(said):
    losses = FiniteLosses()
    runner = SimpleNamespace(
        message_hub=MessageHub.get_instance('empty'),
        iter=0,
        optim_wrapper=optim_wrapper())
    for _ in range(2):
        losses.check(runner, {DISTILLED: torch.tensor(NAN)}, False)
    assert len(said) == 1 and 'runtime_info' in said[0]


def test_a_finite_gradient_alone_does_not_stand_for_the_losses():
    hub = MessageHub.get_instance('gradient alone')
    hub.update_scalar(f'train/{GRAD}', 1.)
    runner = SimpleNamespace(message_hub=hub, optim_wrapper=optim_wrapper())
    assert not weak_teacher_distill_hook._is_finite(runner, {OWN: NAN})
    hub.update_scalar(f'train/{OWN}', 1.)
    assert weak_teacher_distill_hook._is_finite(runner, {OWN: 1.})


def test_a_scaler_is_one_that_is_enabled():
    assert [has_loss_scaler(optim_wrapper(s))
            for s in (None, False, True)] == [False, False, True]
