# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from scipy.special import softmax

from mmw2s.models import DISTLoss


def reference(student, teacher, temperature=1.):
    """1 - Pearson of each sample, and of each class, by numpy."""
    p_s, p_t = (
        softmax(np.float64(z) / temperature, -1) for z in (student, teacher))
    return [
        np.array([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(x, y)])
        for x, y in ((p_s, p_t), (p_s.T, p_t.T))
    ]


@pytest.mark.parametrize('temperature', [1., 4.])
@pytest.mark.parametrize('beta, gamma', [(1., 1.), (2., 0.), (0., 3.)])
def test_value_is_one_minus_the_two_correlations(beta, gamma, temperature):
    student, teacher = 3 * torch.randn(2, 6, 10)
    over_classes, over_samples = reference(student, teacher, temperature)
    want = beta * over_classes.mean() + gamma * over_samples.mean()
    np.testing.assert_allclose(
        DISTLoss(beta, gamma, temperature)(student, teacher),
        temperature**2 * want,
        rtol=1e-4)


def test_all_axes_but_the_last_are_samples():
    student, teacher = torch.randn(2, 2, 3, 4, 5)
    torch.testing.assert_close(
        DISTLoss()(student, teacher),
        DISTLoss()(student.view(24, 5), teacher.view(24, 5)))


def test_weights_of_one_change_nothing():
    student, teacher = torch.randn(2, 6, 10)
    torch.testing.assert_close(DISTLoss()(student, teacher, torch.ones(6)),
                               DISTLoss()(student, teacher))


def test_a_sample_without_weight_is_as_if_it_were_not_there():
    student, teacher = torch.randn(2, 6, 10)
    weight = torch.tensor([1., 1., 0., 1., 0., 1.])
    torch.testing.assert_close(
        DISTLoss()(student, teacher, weight, avg_factor=4),
        DISTLoss()(student[weight > 0], teacher[weight > 0]))


@pytest.mark.parametrize('student', [torch.zeros(1, 10), torch.zeros(6, 10)])
def test_a_student_that_does_not_vary_gets_bounded_gradients(student):
    # Some heads begin with weights of 0.
    student.requires_grad_()
    teacher = torch.randn(len(student), 10)
    loss = DISTLoss()(student, teacher)
    loss.backward()
    assert 0.4 < loss.item() < 1.1
    assert student.grad.abs().max() < 1e3


def test_of_a_single_sample_only_its_classes_count():
    student, teacher = torch.randn(2, 1, 10)
    correlation = np.corrcoef(*softmax([student[0], teacher[0]], -1))[0, 1]
    np.testing.assert_allclose(
        DISTLoss()(student, teacher), 1 - correlation, rtol=1e-4)


def test_a_scaled_and_shifted_student_is_as_good():
    # The losses compare probabilities: those of a student that halves them.
    teacher = torch.rand(6, 10, dtype=torch.float64)
    teacher = teacher / teacher.sum(-1, keepdim=True)
    student = (teacher + 0.1) / 2
    loss = DISTLoss()(student.log(), teacher.log())
    assert loss.item() < 1e-6


@pytest.mark.parametrize('field', ['beta', 'gamma', 'eps'])
def test_a_negative_field_is_refused(field):
    with pytest.raises(
            ValueError, match=f'{field} should be a finite number >'):
        DISTLoss(**{field: -1.})


def test_what_does_not_vary_is_half_way_between_like_and_unlike():
    flat, varied = torch.zeros(4, 3), torch.randn(4, 3)
    loss = DISTLoss(gamma=0.)
    torch.testing.assert_close(loss(flat, varied), torch.tensor(.5))
    assert loss(flat, flat) == 0
