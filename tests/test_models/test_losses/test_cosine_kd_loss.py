# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch

from mmw2s.models import CosineKDLoss


def maps(seed=0):
    torch.manual_seed(seed)
    return torch.randn(2, 2, 3, 6, 5)


def cosines(student, teacher, axes):
    """Of each vector, by numpy in float64."""
    s, t = (np.asarray(x, np.float64) for x in (student, teacher))
    lengths = np.sqrt((s**2).sum(axes) * (t**2).sum(axes))
    return (s * t).sum(axes) / lengths


@pytest.mark.parametrize('vectors, axes', [('channels', 1),
                                           ('locations', (2, 3))])
def test_value_is_one_minus_the_mean_cosine(vectors, axes):
    student, teacher = maps()
    want = 1 - cosines(student, teacher, axes).mean()
    got = CosineKDLoss(vectors)(student, teacher)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_it_is_half_the_squared_distance_of_unit_vectors_as_in_stfpm():
    student, teacher = maps()
    unit = [x / x.norm(dim=1, keepdim=True) for x in (student, teacher)]
    want = 0.5 * (unit[0] - unit[1]).square().sum(1).mean()
    torch.testing.assert_close(CosineKDLoss()(student, teacher), want)


def test_scale_of_each_vector_does_not_matter():
    student, teacher = maps()
    scale = torch.rand(2, 1, 6, 5) + 0.5
    want = CosineKDLoss()(student, teacher)
    torch.testing.assert_close(CosineKDLoss()(student * scale, teacher), want)
    scale = torch.rand(2, 3, 1, 1) + 0.5
    loss = CosineKDLoss('locations')
    torch.testing.assert_close(
        loss(student * scale, teacher), loss(student, teacher))


@pytest.mark.parametrize('vectors', ['channels', 'locations'])
def test_a_mask_leaves_what_a_crop_leaves(vectors):
    student, teacher = maps()
    mask = torch.zeros(2, 1, 6, 5)
    mask[:, :, 1:5, :3] = 1
    loss = CosineKDLoss(vectors)
    torch.testing.assert_close(
        loss(student + 9 * (1 - mask), teacher, mask.bool()),
        loss(student[:, :, 1:5, :3], teacher[:, :, 1:5, :3]))


@pytest.mark.parametrize('vectors', ['channels', 'locations'])
def test_an_image_masked_altogether_does_not_count(vectors):
    student, teacher = maps()
    loss = CosineKDLoss(vectors)
    mask = torch.tensor([1., 0.]).view(2, 1, 1, 1)
    torch.testing.assert_close(
        loss(student, teacher, mask), loss(student[:1], teacher[:1]))


@pytest.mark.parametrize('vectors', ['channels', 'locations'])
def test_vectors_of_zeros_give_finite_gradients(vectors):
    student = torch.zeros(2, 3, 4, 5, requires_grad=True)
    CosineKDLoss(vectors)(student, torch.randn(2, 3, 4, 5)).backward()
    assert student.grad.isfinite().all() and student.grad.abs().max() < 1e4


def test_what_is_no_map_and_other_vectors_are_refused():
    with pytest.raises(ValueError, match=r'\(B, C, H, W\), but got'):
        CosineKDLoss()(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="'channels', 'locations', but got"):
        CosineKDLoss('images')
