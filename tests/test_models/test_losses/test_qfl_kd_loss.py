# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit

from mmw2s.models import QualityFocalKDLoss
from mmw2s.models.losses import qfl_kd_loss


def reference(student, teacher, beta=1., temperature=1.):
    """Each element's loss in float64."""
    z, target = (np.float64(x) / temperature for x in (student, teacher))
    p, p_teacher = expit(z), expit(target)
    bce = np.logaddexp(0, z) - z * p_teacher
    return temperature**2 * bce * np.abs(p_teacher - p)**beta


def by_autograd(student, teacher, beta, temperature):
    z, target = student / temperature, (teacher / temperature).sigmoid()
    bce = F.binary_cross_entropy_with_logits(z, target, reduction='none')
    loss = bce * (target - z.sigmoid()).abs().pow(beta)
    return temperature**2 * loss.sum()


@pytest.mark.parametrize('beta', [1., 2.])
@pytest.mark.parametrize('temperature', [1., 3.])
def test_value_is_the_formula_averaged_over_anchors(beta, temperature):
    student, teacher = 3 * torch.randn(2, 2, 50, 7)
    loss = QualityFocalKDLoss(beta, temperature)(student, teacher)
    want = reference(student, teacher, beta, temperature).sum() / 100
    np.testing.assert_allclose(loss, want, rtol=1e-5)


def test_value_matches_mmdet():
    gfocal = pytest.importorskip('mmdet.models.losses.gfocal_loss')
    student, teacher = torch.randn(2, 50, 7)
    want = gfocal.quality_focal_loss_tensor_target(
        student, teacher.sigmoid(), beta=2.)
    torch.testing.assert_close(
        QualityFocalKDLoss(beta=2.)(student, teacher), want)


@pytest.mark.parametrize('beta,temperature', [(1., 1.), (1.5, 2.), (2., 1.)])
def test_gradient_flows_through_the_modulating_factor(beta, temperature):
    student, teacher = torch.randn(2, 50, 7, dtype=torch.float64)
    student.requires_grad_()
    loss = QualityFocalKDLoss(beta, temperature)(
        student, teacher, avg_factor=1)
    want = by_autograd(student, teacher, beta, temperature)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(*(torch.autograd.grad(x, student)[0]
                                 for x in (loss, want)))


@pytest.mark.parametrize('size', [2, 7, 13, 40, 10**6])
def test_working_in_pieces_changes_nothing(size, monkeypatch):
    student, teacher = torch.randn(2, 2, 7, 3, 2, dtype=torch.float64)
    student.requires_grad_()
    # The way a head's map becomes (B, H, W, A, C): a view that no reshape
    # could flatten without a copy.
    views = [
        x.permute(0, 2, 3, 1).unflatten(-1, (-1, 7))
        for x in (student, teacher)
    ]
    weight = torch.rand(2, 3, 2, 1, dtype=torch.float64)
    monkeypatch.setattr(qfl_kd_loss._QualityFocalSum, 'PIECE', size)
    loss = QualityFocalKDLoss()(*views, weight, avg_factor=1)
    each = reference(*(x.detach() for x in views)) * weight.numpy()[..., None]
    np.testing.assert_allclose(loss.item(), each.sum())
    assert torch.autograd.gradcheck(
        lambda s: QualityFocalKDLoss()
        (s.permute(0, 2, 3, 1).unflatten(-1, (-1, 7)), views[1], weight),
        (student, ))


@pytest.mark.parametrize('shape', [(5, 2, 3), (1, 1), (4, 100), (7, )])
def test_pieces_cover_every_element_once(shape):
    for size in (1, 5, 12, 1000):
        hits = torch.zeros(shape)
        for piece in qfl_kd_loss.pieces(shape, size):
            assert hits[piece].numel() <= size
            hits[piece] += 1
        assert (hits == 1).all()


def test_weights_are_per_anchor_or_per_score():
    student, teacher = torch.randn(2, 2, 50, 7)
    each = reference(student, teacher)
    anchors, scores = torch.rand(2, 50), torch.rand(2, 50, 7)
    loss = QualityFocalKDLoss()
    for weight, wide in ((anchors, anchors[..., None]), (scores, scores),
                         (anchors > 0.5, anchors[..., None] > 0.5)):
        np.testing.assert_allclose(
            loss(student, teacher, weight, avg_factor=10.),
            (each * wide.numpy()).sum() / 10,
            rtol=1e-5)
        np.testing.assert_allclose(
            loss(student, teacher, weight), (each * wide.numpy()).sum() / 100,
            rtol=1e-5)


def test_extreme_logits_give_exact_values_and_gradients():
    student = torch.tensor([[50., -50., 50., -50., 1e4]], requires_grad=True)
    teacher = torch.tensor([[-50., 50., 50., -50., -1e4]])
    loss = QualityFocalKDLoss()(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(50 + 50 + 1e4)
    torch.testing.assert_close(student.grad,
                               torch.tensor([[1., -1., 0., 0., 1.]]))


def test_only_one_tensor_of_the_size_of_the_logits_is_kept():
    student = torch.randn(50, 7, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
            lambda x: kept.append(x.numel()) or x, lambda x: x):
        QualityFocalKDLoss()(student, torch.randn(50, 7), torch.rand(50))
    assert sum(n == student.numel() for n in kept) == 1


def test_a_beta_whose_gradient_has_no_bound_is_refused():
    with pytest.raises(
            ValueError, match='beta should be a finite number >= 1'):
        QualityFocalKDLoss(beta=0.5)
