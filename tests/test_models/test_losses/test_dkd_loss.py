# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from mmw2s.models import DKDLoss, KDLoss

LABELS = torch.tensor([3, 0, 9, 3, 5, 1])


def reference(student, teacher, labels, temperature):
    """The two terms in float64, one value a sample each."""
    terms = []
    for z_s, z_t, label in zip(student, teacher, labels):
        p_s, p_t = (softmax(np.float64(z) / temperature) for z in (z_s, z_t))
        own = entropy([p_t[label], 1 - p_t[label]],
                      [p_s[label], 1 - p_s[label]])
        # scipy normalizes what it is given.
        others = entropy(np.delete(p_t, label), np.delete(p_s, label))
        terms.append((own, others))
    return temperature**2 * np.array(terms).T


@pytest.mark.parametrize('temperature', [1., 4.])
@pytest.mark.parametrize('alpha, beta', [(1., 1.), (1., 8.), (0., 1.),
                                         (2., 0.)])
def test_value_is_the_weighted_sum_of_the_two_divergences(
        alpha, beta, temperature):
    student, teacher = 3 * torch.randn(2, 6, 10)
    own, others = reference(student, teacher, LABELS, temperature)
    loss = DKDLoss(alpha, beta, temperature)
    np.testing.assert_allclose(
        loss(student, teacher, target=LABELS),
        (alpha * own + beta * others).mean(),
        rtol=1e-4)


def test_others_weighted_by_their_share_give_plain_distillation():
    # Eq. 6 of the paper: KD = TCKD + (1 - p_t) NCKD.
    student, teacher = torch.randn(2, 1, 10, dtype=torch.float64)
    label = torch.tensor([4])
    beta = 1 - teacher.softmax(-1)[0, 4].item()
    torch.testing.assert_close(
        DKDLoss(beta=beta)(student, teacher, target=label),
        KDLoss()(student, teacher))


def test_two_classes_are_plain_distillation_without_nan():
    student, teacher = torch.randn(2, 6, 2)
    student.requires_grad_()
    loss = DKDLoss(beta=8.)(student, teacher, target=LABELS % 2)
    loss.backward()
    torch.testing.assert_close(loss, KDLoss()(student, teacher))
    assert torch.isfinite(student.grad).all()


def test_one_class_is_refused():
    with pytest.raises(ValueError, match='at least two classes'):
        DKDLoss()(
            torch.zeros(2, 1),
            torch.zeros(2, 1),
            target=torch.zeros(2, dtype=torch.long))


def test_weights_multiply_samples_and_zeros_still_count():
    student, teacher = torch.randn(2, 6, 10)
    weight = torch.tensor([1., 0., 2., 0., 0.5, 0.])
    each = reference(student, teacher, LABELS, 1.).sum(0)
    np.testing.assert_allclose(
        DKDLoss()(student, teacher, weight, target=LABELS),
        (each * weight.numpy()).mean(),
        rtol=1e-5)


def test_large_logits_give_finite_values_and_gradients():
    student = torch.tensor([[1e4, -1e4, 0.]], requires_grad=True)
    loss = DKDLoss()(
        student, torch.tensor([[-1e4, 1e4, 0.]]), target=torch.tensor([0]))
    loss.backward()
    # The own class: certain against impossible; the others: 1e4 apart.
    assert loss.item() == pytest.approx(2e4)
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize('field', ['alpha', 'beta'])
def test_a_negative_weight_is_refused(field):
    with pytest.raises(
            ValueError, match=f'{field} should be a finite number >= 0'):
        DKDLoss(**{field: -1.})
