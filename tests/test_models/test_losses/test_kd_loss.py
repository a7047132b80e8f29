# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from mmw2s.models import KDLoss


def reference(student, teacher, temperature):
    """KL in float64, one value per sample."""
    log_s = log_softmax(np.float64(student) / temperature, -1)
    log_t = log_softmax(np.float64(teacher) / temperature, -1)
    return temperature**2 * (np.exp(log_t) * (log_t - log_s)).sum(-1)


@pytest.mark.parametrize('temperature', [1., 4.])
def test_value_is_the_mean_kl_divergence(temperature):
    student, teacher = 3 * torch.randn(2, 6, 10)
    loss = KDLoss(temperature)(student, teacher)
    want = reference(student, teacher, temperature).mean()
    np.testing.assert_allclose(loss, want, rtol=1e-5)


def test_two_classes_match_the_closed_form():
    # Teacher (3/4, 1/4), student (1/2, 1/2).
    teacher = torch.tensor([[3., 1.]]).log()
    want = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    np.testing.assert_allclose(
        KDLoss()(torch.zeros(1, 2), teacher), want, rtol=1e-6)


def test_classes_may_be_on_another_axis():
    student, teacher = torch.randn(2, 2, 3, 4, 5)
    torch.testing.assert_close(
        KDLoss(class_dim=1)(student, teacher),
        KDLoss()(student.movedim(1, -1), teacher.movedim(1, -1)))


def test_weights_multiply_samples_and_zeros_still_count():
    student, teacher = torch.randn(2, 6, 10)
    weight = torch.tensor([1., 0., 2., 0., 0.5, 0.])
    each = reference(student, teacher, 1.)
    np.testing.assert_allclose(
        KDLoss()(student, teacher, weight), (each * weight.numpy()).mean(),
        rtol=1e-5)
    np.testing.assert_allclose(
        KDLoss()(student, teacher, weight > 0, avg_factor=3),
        each[[0, 2, 4]].mean(),
        rtol=1e-5)


def test_large_logits_give_finite_values_and_gradients():
    student = torch.tensor([[1e4, -1e4, 0.]], requires_grad=True)
    loss = KDLoss()(student, torch.tensor([[-1e4, 1e4, 0.]]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    torch.testing.assert_close(student.grad, torch.tensor([[1., -1., 0.]]))


def test_a_high_temperature_approaches_half_the_squared_error():
    # Hinton et al., section 2.1: the logits centered, the temperature high.
    student, teacher = torch.randn(2, 6, 10, dtype=torch.float64)
    gap = student - teacher
    gap -= gap.mean(-1, keepdim=True)
    torch.testing.assert_close(
        KDLoss(1000.)(student, teacher),
        gap.square().mean(-1).mean() / 2,
        rtol=1e-2,
        atol=0.)
