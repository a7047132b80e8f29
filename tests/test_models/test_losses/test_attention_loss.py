# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch

from mmw2s.models import AttentionLoss


def reference(student, teacher, power):
    """The paper's attention maps and distance, in float64."""
    total = 0.
    for s, t in zip(student.double().numpy(), teacher.double().numpy()):
        maps = [(np.abs(x)**power).sum(0).ravel() for x in (s, t)]
        unit = [q / np.linalg.norm(q) for q in maps]
        total += 0.5 * np.linalg.norm(unit[0] - unit[1])**2
    return total / len(student)


@pytest.mark.parametrize('power', [1., 2., 4.])
def test_value_is_the_distance_of_unit_attention_maps(power):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 6, 5), torch.randn(2, 7, 6, 5)
    np.testing.assert_allclose(
        AttentionLoss(power)(student, teacher),
        reference(student, teacher, power),
        rtol=1e-5)


def test_scale_sign_and_order_of_channels_do_not_matter():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 6, 5)
    want = AttentionLoss()(student, teacher)
    torch.testing.assert_close(
        AttentionLoss()(-1e-3 * student.flip(1), teacher), want)


def test_a_mask_leaves_what_a_crop_leaves():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 6, 5)
    mask = torch.zeros(2, 1, 6, 5)
    mask[:, :, 1:5, :3] = 1
    torch.testing.assert_close(
        AttentionLoss()(student, teacher, mask),
        AttentionLoss()(student[:, :, 1:5, :3], teacher[:, :, 1:5, :3]))


def test_maps_of_zeros_give_finite_gradients():
    student = torch.zeros(2, 3, 4, 5, requires_grad=True)
    loss = AttentionLoss()(student, torch.randn(2, 3, 4, 5))
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()
