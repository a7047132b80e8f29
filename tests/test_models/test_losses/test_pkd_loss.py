# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch

from mmw2s.models import PKDLoss


def pearson(student, teacher):
    """Pearson correlation in float64, for each row."""
    return np.array([
        np.corrcoef(s, t)[0, 1] for s, t in zip(student.double().numpy(),
                                                teacher.double().numpy())
    ])


def maps(seed=0):
    torch.manual_seed(seed)
    return torch.randn(2, 2, 3, 6, 5)


def test_value_is_one_minus_the_correlation_of_each_image():
    student, teacher = maps()
    want = 1 - pearson(student.reshape(6, -1), teacher.reshape(6, -1)).mean()
    np.testing.assert_allclose(PKDLoss()(student, teacher), want, rtol=1e-4)


def test_value_is_one_minus_the_correlation_over_the_batch():
    student, teacher = maps()
    want = 1 - pearson(
        student.transpose(0, 1).reshape(3, -1),
        teacher.transpose(0, 1).reshape(3, -1)).mean()
    np.testing.assert_allclose(
        PKDLoss(per_image=False)(student, teacher), want, rtol=1e-4)


@pytest.mark.parametrize('per_image', [True, False])
def test_scale_and_offset_of_a_channel_do_not_matter(per_image):
    student, teacher = maps()
    loss = PKDLoss(per_image)
    scale = torch.tensor([0.3, 7., 100.]).view(3, 1, 1)
    offset = torch.tensor([5., -20., 0.]).view(3, 1, 1)
    want = loss(student, teacher)
    torch.testing.assert_close(
        loss(student * scale + offset, teacher), want, rtol=1e-4, atol=0.)
    torch.testing.assert_close(
        loss(student, teacher * scale + offset), want, rtol=1e-4, atol=0.)


def test_opposite_maps_give_two():
    student, _ = maps()
    assert PKDLoss()(student, -student).item() == pytest.approx(2., rel=1e-4)


def test_splitting_a_batch_does_not_change_the_mean():
    student, teacher = maps()
    halves = [PKDLoss()(s[None], t[None]) for s, t in zip(student, teacher)]
    torch.testing.assert_close(PKDLoss()(student, teacher), sum(halves) / 2)


@pytest.mark.parametrize('shape', [(2, 3, 1, 1), (2, 3, 4, 5)])
@pytest.mark.parametrize('masked', [True, False])
def test_constant_maps_give_finite_gradients(shape, masked):
    student = torch.full(shape, 2.5, requires_grad=True)
    weight = torch.ones(shape[0], 1, *shape[2:]) if masked else None
    loss = PKDLoss()(student, torch.randn(shape), weight)
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()


def test_a_mask_leaves_what_a_crop_leaves():
    student, teacher = maps()
    mask = torch.zeros(2, 1, 6, 5)
    mask[:, :, 1:5, :3] = 1
    cropped = PKDLoss()(student[:, :, 1:5, :3], teacher[:, :, 1:5, :3])
    torch.testing.assert_close(PKDLoss()(student, teacher, mask), cropped)
    torch.testing.assert_close(
        PKDLoss()(student + 9 * (1 - mask), teacher, mask.bool()),
        cropped,
        rtol=1e-4,
        atol=0.)


def test_an_image_masked_altogether_does_not_count():
    student, teacher = maps()
    student.requires_grad_()
    mask = torch.tensor([1., 0.]).view(2, 1, 1, 1)
    loss = PKDLoss()(student, teacher, mask)
    torch.testing.assert_close(loss, PKDLoss()(student[:1], teacher[:1]))
    loss.backward()
    assert student.grad[1].abs().max() == 0


@pytest.mark.parametrize('per_image', [True, False])
@pytest.mark.parametrize('weighted', [True, False])
def test_the_gradient_is_that_of_the_value(per_image, weighted):
    student, teacher = maps().double()
    weight = torch.rand(2, 1, 6, 5).double() if weighted else None
    loss = PKDLoss(per_image, eps=0.1)
    torch.autograd.gradcheck(lambda s: loss(s, teacher, weight, avg_factor=3.),
                             student.requires_grad_())


@pytest.mark.parametrize('weighted', [True, False])
def test_no_copy_of_the_maps_is_kept_for_the_backward(weighted):
    student, teacher = maps()
    weight = torch.rand(2, 1, 6, 5) if weighted else None
    given = {x.data_ptr() for x in (student, teacher, weight) if x is not None}
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
            lambda x: kept.append(x) or x, lambda x: x):
        PKDLoss()(student.requires_grad_(), teacher, weight)
    copies = [
        x.shape for x in kept
        if x.numel() == student.numel() and x.data_ptr() not in given
    ]
    assert kept and not copies


@pytest.mark.parametrize('weighted', [True, False])
def test_equal_maps_give_zero(weighted):
    student, _ = maps()
    weight = torch.rand(2, 1, 6, 5) if weighted else None
    assert abs(PKDLoss()(student * 9 + 20, student, weight).item()) < 1e-6


def test_what_is_not_a_map_is_refused():
    with pytest.raises(ValueError, match=r'\(B, C, H, W\), but got \(2, 3\)'):
        PKDLoss()(torch.zeros(2, 3), torch.zeros(2, 3))


def test_an_eps_of_zero_is_refused():
    with pytest.raises(ValueError, match='eps should be a finite number > 0'):
        PKDLoss(eps=0)
