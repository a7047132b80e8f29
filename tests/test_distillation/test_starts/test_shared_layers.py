# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Layers that a model has under several names, and layers made of others."""
from types import SimpleNamespace

import pytest
import torch
from builders import TinyModel
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.starts import Corner, Inherit

SHARED = 'the layer is shared, the teacher has several'


def start(kind, student_head, teacher_head):
    """The student and its teacher after the start, and the account."""
    models = []
    for head in (student_head, teacher_head):
        model = TinyModel()
        model.head = head
        models.append(model)
    student, teacher = models
    started = kind().apply(
        student,
        SimpleNamespace(
            model=teacher, name='toy', pipelines=FrozenTeacher.pipelines),
        None)
    return student, teacher, started


def branches(shared, count=3):
    """The heads of a DETR, one a layer of its decoder."""
    one = nn.Linear(4, 2)
    return nn.ModuleList(
        one if shared else nn.Linear(4, 2) for _ in range(count))


@pytest.mark.parametrize('kind', [Inherit, Corner])
def test_a_shared_layer_takes_none_of_several_others(kind):
    head = branches(shared=True)
    before = head[0].weight.clone()
    # Both starts need something that can be taken.
    both = [
        nn.ModuleDict(dict(a=h, b=nn.Linear(4, 2)))
        for h in (head, branches(shared=False))
    ]
    _, _, started = start(kind, *both)
    assert torch.equal(head[0].weight, before)
    assert set(started.left[SHARED]) == {
        f'head.a.{i}.{name}'
        for i in range(3)
        for name in ('weight', 'bias')
    }
    assert {'head.b.weight', 'head.b.bias'} <= set(started.taken)


@pytest.mark.parametrize('kind', [Inherit, Corner])
@pytest.mark.parametrize('shared', [True, False])
def test_each_branch_takes_the_layer_that_the_teacher_shares(kind, shared):
    student, teacher, started = start(kind, branches(shared),
                                      branches(shared=True))
    for i in range(3):
        assert torch.equal(student.head[i].weight, teacher.head[i].weight)
        assert f'head.{i}.weight' in started.taken


@pytest.mark.parametrize('kind', [Inherit, Corner])
@pytest.mark.parametrize('norm', [weight_norm, spectral_norm])
def test_a_weight_that_is_computed_is_taken(kind, norm):
    student, teacher, started = start(kind, norm(nn.Linear(4, 2)),
                                      norm(nn.Linear(4, 2)))
    assert torch.equal(student.eval().head.weight, teacher.eval().head.weight)
    assert 'head.bias' in started.taken


@pytest.mark.parametrize('kind', [Inherit, Corner])
@pytest.mark.parametrize('norms', [(weight_norm, None), (None, weight_norm),
                                   (weight_norm, spectral_norm)])
def test_no_bias_of_a_weight_that_is_computed_otherwise(kind, norms):
    plain = nn.Linear(4, 2)
    student, other = (
        norm(nn.Linear(4, 2)) if norm else plain for norm in norms)
    # Both starts need something that can be taken.
    _, _, started = start(kind, nn.ModuleList([student,
                                               nn.Linear(4, 2)]),
                          nn.ModuleList([other, nn.Linear(4, 2)]))
    assert not [n for n in started.taken if n.startswith('head.0.')]
    assert 'head.1.weight' in started.taken


def test_no_table_of_places_is_cut_out_of_another():

    def window(size):  # as in Swin transformers
        layer = nn.Linear(4, 2)
        layer.register_buffer('relative_position_index',
                              torch.arange(size * size).view(size, size))
        return layer

    student, _, started = start(Corner, window(6), window(4))
    assert torch.equal(student.head.relative_position_index,
                       torch.arange(36).view(6, 6))
    assert 'head.weight' in started.taken
