# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmw2s.models import RelationLoss


def huber(x):
    x = abs(x)
    return 0.5 * x**2 if x < 1 else x - 0.5


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def of_a_set(student, teacher, relation):
    """The papers' formulas for vectors (N, C), by loops over i, j and k."""
    n = range(len(student))
    if relation == 'cosine':
        return np.mean([(cosine(student[i], student[j]) -
                         cosine(teacher[i], teacher[j]))**2
                        for i, j in itertools.product(n, n)])
    if relation == 'distance':
        tables = []
        for x in (student, teacher):
            table = np.array([[np.linalg.norm(x[i] - x[j]) for i in n]
                              for j in n])
            tables.append(table / table[table > 0].mean())
        return np.mean([huber(d) for d in (tables[0] - tables[1]).ravel()])
    found = []
    for i, j, k in itertools.product(n, n, n):
        angles = [
            0. if j in (i, k) else cosine(x[i] - x[j], x[k] - x[j])
            for x in (student, teacher)
        ]
        found.append(huber(angles[0] - angles[1]))
    return np.mean(found)


RELATIONS = pytest.mark.parametrize('relation',
                                    ['cosine', 'distance', 'angle'])


def maps(seed=0):
    torch.manual_seed(seed)
    return torch.randn(3, 5, 3, 2), torch.randn(3, 4, 3, 2)


@RELATIONS
def test_value_among_locations_is_that_of_the_paper(relation):
    student, teacher = maps()
    want = np.mean([
        of_a_set(*(x.double().flatten(1).T.numpy() for x in pair), relation)
        for pair in zip(student, teacher)
    ])
    np.testing.assert_allclose(
        RelationLoss(relation)(student, teacher), want, rtol=1e-4)


@RELATIONS
def test_value_among_images_is_that_of_the_paper(relation):
    student, teacher = maps()
    want = of_a_set(
        *(x.double().mean((2, 3)).numpy() for x in (student, teacher)),
        relation)
    np.testing.assert_allclose(
        RelationLoss(relation, 'images')(student, teacher), want, rtol=1e-4)


@RELATIONS
def test_scale_and_a_rotation_of_the_channels_do_not_matter(relation):
    student, teacher = maps()
    rotation = torch.linalg.qr(torch.randn(5, 5))[0]
    turned = torch.einsum('dc,bchw->bdhw', rotation, 30 * student)
    loss = RelationLoss(relation)
    torch.testing.assert_close(
        loss(turned, teacher), loss(student, teacher), rtol=1e-3, atol=1e-6)


@RELATIONS
def test_a_mask_leaves_what_a_crop_leaves(relation):
    student, teacher = maps()
    mask = torch.zeros(3, 1, 3, 2)
    mask[:, :, :2] = 1
    loss = RelationLoss(relation)
    torch.testing.assert_close(
        loss(student, teacher, mask), loss(student[:, :, :2],
                                           teacher[:, :, :2]))


def test_an_image_of_no_weight_does_not_relate_to_others():
    student, teacher = maps()
    mask = torch.tensor([1., 0., 1.]).view(3, 1, 1, 1)
    loss = RelationLoss('distance', 'images')
    torch.testing.assert_close(
        loss(student, teacher, mask), loss(student[::2], teacher[::2]))


def test_larger_maps_are_averaged_down():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 8, 8)
    halves = [F.avg_pool2d(x, 2) for x in (student, teacher)]
    torch.testing.assert_close(
        RelationLoss(most=4)(student, teacher),
        RelationLoss()(*halves))


@RELATIONS
@pytest.mark.parametrize('among', ['locations', 'images'])
def test_equal_vectors_give_finite_gradients(relation, among):
    student = torch.full((2, 3, 4, 5), 2.5, requires_grad=True)
    loss = RelationLoss(relation, among)(student, torch.randn(2, 3, 4, 5))
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()


@pytest.mark.parametrize('field, value', [('relation', 'rank'),
                                          ('among', 'classes'), ('most', 0)])
def test_other_fields_are_refused(field, value):
    with pytest.raises(ValueError, match=f'RelationLoss.{field} should be'):
        RelationLoss(**{field: value})
