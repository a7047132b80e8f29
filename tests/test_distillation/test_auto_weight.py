# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch

from mmw2s.distillation.auto_weight import AutoWeight


def test_it_holds_the_loss_at_the_share_of_the_task_loss():
    weight = AutoWeight(ratio=0.5, eps=0.)
    for task, kd in ((4., 0.02), (4., 0.02)):
        value = weight(torch.tensor(task), torch.tensor(kd))
        assert (value * kd).item() == pytest.approx(0.5 * task)


def test_its_averages_follow_the_closed_form():
    weight = AutoWeight(ratio=2., momentum=0.9, eps=0.1)
    losses = [(1., 5.), (3., 1.), (2., 2.)]
    mean_task = mean_kd = None
    for task, kd in losses:
        found = weight(torch.tensor(task), torch.tensor(kd)).item()
        mean_task = task if mean_task is None else \
            0.9 * mean_task + 0.1 * task
        mean_kd = kd if mean_kd is None else 0.9 * mean_kd + 0.1 * kd
        assert found == pytest.approx(2 * mean_task / (mean_kd + 0.1))


def test_no_gradient_flows_through_it():
    loss = torch.tensor(3., requires_grad=True)
    assert not AutoWeight()(2 * loss, loss).requires_grad


def test_a_loss_of_zero_gives_a_finite_weight():
    assert torch.isfinite(AutoWeight()(torch.tensor(1.), torch.tensor(0.)))


@pytest.mark.parametrize('bad', [float('inf'), float('nan')])
@pytest.mark.parametrize('at', [0, 1, 2])
def test_a_loss_that_is_not_finite_does_not_spoil_its_averages(bad, at):
    weight, without = AutoWeight(), AutoWeight()
    for i in range(4):
        losses = torch.tensor(1. + i), torch.tensor(2.)
        if i == at:
            weight(torch.tensor(bad), losses[1])
        found = weight(*losses)
        assert found == without(*losses)


def test_its_state_survives_a_checkpoint(tmp_path):
    weight, resumed = AutoWeight(), AutoWeight()
    for i in range(5):
        weight(torch.tensor(1. + i), torch.tensor(2.))
    torch.save(weight.state_dict(), tmp_path / 'state.pth')
    resumed.load_state_dict(
        torch.load(tmp_path / 'state.pth', weights_only=True))
    now = torch.tensor(7.), torch.tensor(0.3)
    assert resumed(*now) == weight(*now)


def test_a_state_from_before_the_first_step_is_taken_too():
    weight = AutoWeight()
    weight.load_state_dict(AutoWeight().state_dict())
    assert weight(torch.tensor(2.), torch.tensor(2.)).item() == \
        pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize('ratio', [0, -1, float('nan')])
def test_a_share_that_is_not_positive_is_refused(ratio):
    with pytest.raises(
            ValueError, match='ratio should be a finite number > 0'):
        AutoWeight(ratio)
