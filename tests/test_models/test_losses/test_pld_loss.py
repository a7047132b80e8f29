# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import logsumexp, softmax

from mmw2s.models import PLDLoss

LABELS = torch.tensor([3, 0, 9, 3, 5, 1])


def reference(student, teacher, labels, temperature):
    """The sum over the choices as the paper writes it, in float64."""
    values = []
    for s, t, label in zip(np.float64(student), np.float64(teacher), labels):
        q = softmax(t / temperature)
        order = [int(label)]
        order += [c for c in np.argsort(-t) if c != label]
        values.append(
            sum(q[c] * (logsumexp(s[order[k:]]) - s[c])
                for k, c in enumerate(order)))
    return np.array(values)


@pytest.mark.parametrize('temperature', [1., 4.])
def test_value_is_the_weighted_likelihood_of_the_order(temperature):
    student, teacher = 3 * torch.randn(2, 6, 10)
    np.testing.assert_allclose(
        PLDLoss(temperature)(student, teacher, target=LABELS),
        reference(student, teacher, LABELS, temperature).mean(),
        rtol=1e-5)


def test_a_teacher_that_is_certain_and_right_gives_the_cross_entropy():
    student = torch.randn(6, 10)
    teacher = 1e3 * F.one_hot(LABELS, 10).float()
    torch.testing.assert_close(PLDLoss()(student, teacher, target=LABELS),
                               F.cross_entropy(student, LABELS))


def test_weights_multiply_samples_and_zeros_still_count():
    student, teacher = torch.randn(2, 6, 10)
    weight = torch.tensor([1., 0., 2., 0., 0.5, 0.])
    each = reference(student, teacher, LABELS, 1.)
    np.testing.assert_allclose(
        PLDLoss()(student, teacher, weight, target=LABELS),
        (each * weight.numpy()).mean(),
        rtol=1e-5)


def test_large_logits_give_finite_values_and_gradients():
    student = torch.tensor([[1e4, -1e4, 0.]], requires_grad=True)
    loss = PLDLoss()(
        student, torch.tensor([[-1e4, 1e4, 0.]]), target=torch.tensor([0]))
    loss.backward()
    # All confidence is in class 1, which comes second: 0 is 1e4 above it.
    assert loss.item() == pytest.approx(1e4)
    assert torch.isfinite(student.grad).all()
