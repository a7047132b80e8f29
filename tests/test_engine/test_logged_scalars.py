# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmengine.logging import MessageHub, MMLogger

from mmw2s.engine.logged_scalars import LoggedScalars


@pytest.fixture
def hub():
    """Three steps of two task losses, the distillation's, and their sum."""
    hub = MessageHub.get_instance('scalars')
    for cls, box, kd in ((1., 2., 4.), (2., 2., 4.), (3., 1., 2.)):
        for name, value in dict(
                loss_cls=cls,
                loss_bbox=box,
                loss_kd_fpn=kd,
                loss=cls + box + kd,
                grad_norm=10.,
                lr=.1,
                time=.5).items():
            hub.update_scalar(f'train/{name}', value)
    hub.update_scalar('train/w2s/on', 1.)
    hub.update_scalar('val/acc', .5)
    return hub


def names(hub) -> set:
    return set(hub.log_scalars)


def test_those_of_the_distillation_are_gone_and_the_rest_stays(hub):
    LoggedScalars().drop(hub)
    assert not any('kd' in name or 'w2s' in name for name in names(hub))
    assert hub.get_scalar('train/loss').mean(50) == pytest.approx(7)


def test_a_run_resumed_without_them_is_not_warned_of_them(hub, capsys):
    MMLogger.get_instance('resumed', logger_name='resumed')
    LoggedScalars().restart_smoothed(hub, 0)
    LoggedScalars().drop(hub)
    MessageHub.get_instance('resumed').load_state_dict(hub.state_dict())
    assert capsys.readouterr().out == ''


def test_losses_and_gradient_norms_begin_anew(hub):
    LoggedScalars().restart_smoothed(hub, 0)
    LoggedScalars().drop(hub)
    assert names(hub) == {'train/lr', 'train/time', 'val/acc'}


def test_after_a_resume_the_steps_since_the_stop_are_kept(hub):
    LoggedScalars().restart_smoothed(hub, 2)
    assert hub.get_scalar('train/loss_cls').mean(50) == 2.5
    assert len(hub.get_scalar('train/loss').data[0]) == 2
    assert 'train/grad_norm' not in names(hub)


def test_the_step_that_ended_with_the_stop_is_shown_without_us(hub):
    LoggedScalars().restart_smoothed(hub, -1)
    LoggedScalars().drop(hub)
    shown = {
        name: hub.get_scalar(name).mean(50)
        for name in names(hub) if 'loss' in name
    }
    assert shown == {
        'train/loss_cls': 3.,
        'train/loss_bbox': 1.,
        'train/loss': 4.
    }


def test_a_students_own_loss_of_that_name_is_left_as_it_is(hub):
    LoggedScalars().restart_smoothed(hub, -1, loss_is_a_sum=False)
    assert hub.get_scalar('train/loss').current() == 6.


def test_those_of_a_further_teacher_go_alone(hub):
    for name in ('loss_kd_w2s_b/fpn', 'w2s_b/on', 'loss_kd_w2s_b_c/fpn'):
        hub.update_scalar(f'train/{name}', 8.)
    further = {'train/loss_kd_w2s_b/fpn', 'train/w2s_b/on'}
    before = names(hub)
    LoggedScalars('w2s_b').drop(hub)
    assert before - names(hub) == further
    LoggedScalars().drop(hub)
    assert 'train/loss_kd_w2s_b_c/fpn' in names(hub)
    assert 'train/loss_kd_fpn' not in names(hub)


def test_the_loss_goes_on_with_those_of_the_others(hub):
    hub.update_scalar('train/loss_kd_w2s_b/fpn', 8.)
    LoggedScalars('w2s_b').restart_smoothed(hub, -1)
    assert hub.get_scalar('train/loss').current() == 6 - 8
    assert len(hub.get_scalar('train/loss_kd_fpn').data[0]) == 1
