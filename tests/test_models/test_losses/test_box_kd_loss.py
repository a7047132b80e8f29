# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
import torch.nn.functional as F

from mmw2s.models import BoxKDLoss


@pytest.mark.parametrize('beta', [0., 0.1, 1.])
def test_value_is_the_smooth_l1_averaged_by_confidence(beta):
    student, teacher = torch.randn(2, 2, 30, 4)
    confidence = torch.rand(2, 30)
    loss = F.smooth_l1_loss(
        student, teacher, reduction='none', beta=beta).sum(-1)
    torch.testing.assert_close(
        BoxKDLoss(beta)(student, teacher, confidence),
        (loss * confidence).sum() / confidence.sum())
    torch.testing.assert_close(BoxKDLoss(beta)(student, teacher), loss.mean())


def test_a_batch_with_next_to_no_confidence_counts_next_to_nothing():
    student, teacher = torch.zeros(2, 10, 4)
    loss = BoxKDLoss()(student, teacher + 1, torch.full((10, ), 1e-4))
    assert loss.item() == pytest.approx(4e-3)


def test_anchors_without_confidence_get_no_gradient():
    student = torch.randn(3, 4, requires_grad=True)
    weight = torch.tensor([True, False, True])
    BoxKDLoss()(student, torch.randn(3, 4), weight).backward()
    assert (student.grad.abs().sum(-1) > 0).equal(weight)


def test_negative_beta_is_refused():
    with pytest.raises(
            ValueError, match='beta should be a finite number >= 0'):
        BoxKDLoss(beta=-1)
