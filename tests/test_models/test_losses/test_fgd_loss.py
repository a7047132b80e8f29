# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import fgd_reference
import numpy as np
import pytest
import torch

from mmw2s.distillation.knowledge.box_masks import box_masks
from mmw2s.models import FGDLoss

IMAGE = (48, 40)
SIZE = (6, 5)
BOXES = [
    torch.tensor([[3., 5., 20., 30.], [8., 8., 16., 16.]]),
    torch.zeros(0, 4)
]


def maps(seed=0, scale=1.):
    torch.manual_seed(seed)
    return scale * torch.randn(2, 2, 4, *SIZE)


def masks():
    return box_masks(BOXES, IMAGE, SIZE)


@pytest.mark.parametrize(
    'fields', [
        dict(),
        dict(alpha=1., beta=0., gamma=0.),
        dict(alpha=0., beta=1., gamma=0.),
        dict(alpha=0., beta=0., gamma=1.),
        dict(alpha=0.3, beta=0.2, gamma=0.1, temperature=2.),
    ],
    ids=lambda f: ','.join(f) or 'defaults')
def test_value_is_that_of_the_papers_sums_over_boxes_and_pixels(fields):
    student, teacher = maps(scale=2.)
    np.testing.assert_allclose(
        FGDLoss(**fields)(student, teacher, masks()),
        fgd_reference.loss(student, teacher, BOXES, IMAGE, **fields),
        rtol=1e-5)


def test_without_weights_all_is_background():
    student, teacher = maps()
    none = [torch.zeros(0, 4)] * 2
    np.testing.assert_allclose(
        FGDLoss()(student, teacher),
        fgd_reference.loss(student, teacher, none, IMAGE),
        rtol=1e-5)


def test_an_image_without_weight_does_not_count():
    student, teacher = maps()
    student.requires_grad_()
    weight = masks() * torch.tensor([1., 0.]).view(2, 1, 1, 1)
    loss = FGDLoss()(student, teacher, weight, avg_factor=1.)
    torch.testing.assert_close(loss,
                               FGDLoss()(student[:1], teacher[:1], weight[:1]))
    loss.backward()
    assert student.grad[1].abs().max() == 0 < student.grad[0].abs().max()


def test_the_temperature_of_a_call_replaces_that_of_the_config():
    student, teacher = maps()
    want = FGDLoss(temperature=2.)(student, teacher, masks())
    for given in (2., torch.tensor(2.)):
        found = FGDLoss()(student, teacher, masks(), temperature=given)
        assert torch.equal(found, want)
    assert not torch.equal(FGDLoss()(student, teacher, masks()), want)


@pytest.mark.parametrize('gamma', [0., 0.7])
def test_the_gradient_is_that_of_the_value(gamma):
    student, teacher = maps().double()
    loss = FGDLoss(alpha=0.5, beta=0.3, gamma=gamma)
    torch.autograd.gradcheck(
        lambda s: loss(s, teacher, masks().double(), avg_factor=3.),
        student.requires_grad_())


def test_features_far_apart_give_finite_gradients():
    student, teacher = maps(scale=1e3)
    student.requires_grad_()
    loss = FGDLoss()(student, teacher, masks())
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()


def test_one_copy_of_the_maps_is_kept_for_the_backward():
    student, teacher = maps()
    given = {x.data_ptr() for x in (student, teacher)}
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
            lambda x: kept.append(x) or x, lambda x: x):
        FGDLoss()(student.requires_grad_(), teacher, masks())
    copies = {
        x.data_ptr()
        for x in kept if x.shape == student.shape and x.data_ptr() not in given
    }
    assert len(copies) == 1


def test_nothing_waits_for_the_device():
    # A tensor without values cannot be asked for one.
    student, teacher = maps().to('meta')
    boxes = [box.to('meta') for box in BOXES]
    with pytest.raises(RuntimeError):
        student.sum().item()
    loss = FGDLoss().compute(
        student, teacher, box_masks(boxes, IMAGE, SIZE), None, temperature=0.5)
    assert loss.is_meta and loss.shape == ()


def test_what_is_not_a_map_is_refused():
    with pytest.raises(ValueError, match=r'\(B, C, H, W\), but got \(2, 3\)'):
        FGDLoss()(torch.zeros(2, 3), torch.zeros(2, 3))


@pytest.mark.parametrize('field', ['alpha', 'beta', 'gamma', 'temperature'])
def test_a_bad_factor_is_refused_and_named(field):
    with pytest.raises(ValueError, match=f'FGDLoss.{field} should be'):
        FGDLoss(**{field: -1.})
