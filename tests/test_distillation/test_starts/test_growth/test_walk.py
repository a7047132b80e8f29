# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2dPack
from torch import nn

from mmw2s.distillation.starts.growth import (CannotGrow, copied, families,
                                              find_rule, grow_module,
                                              growth_rule, rules)


class Family(nn.Module):

    def __init__(self, width=2):
        super().__init__()
        self.layer = nn.Linear(2, width)


class Relative(Family):
    pass


@pytest.fixture
def rule(monkeypatch):
    """A rule for ``Family`` which gives what the test says."""
    monkeypatch.setattr(rules, '_RULES', {})
    given = []
    growth_rule('Family')(lambda student, teacher: given[0])
    return given


def model(width=2, family=Family):
    return nn.Sequential(family(width), nn.ReLU(), nn.Linear(width, 3))


def test_a_rule_is_for_a_class_and_those_that_descend_from_it(rule):
    assert find_rule(Relative()) is find_rule(Family())
    assert find_rule(nn.Linear(1, 1)) is None
    assert families() == ['Family']
    with pytest.raises(ValueError, match='a growth rule for Family already'):
        growth_rule('Family')(lambda student, teacher: None)


def test_its_tensors_are_named_as_in_the_whole_model(rule):
    rule.append({'layer.bias': torch.ones(4)})
    state = grow_module(model(4), model(2), True)
    assert torch.equal(state['0.layer.bias'], torch.ones(4))
    assert set(state) == {'0.layer.bias', '2.weight', '2.bias'}


def test_a_rule_that_is_not_for_the_two_leaves_them_to_the_others(rule):
    rule.append(None)
    student, teacher = model(), model()
    state = grow_module(student, teacher)
    assert all(
        torch.equal(state[name], tensor)
        for name, tensor in teacher.state_dict().items())


def test_what_a_rule_says_is_told_with_the_place(rule):
    growth_rule('Relative')(lambda *pair: int('no number'))
    with pytest.raises(CannotGrow, match="^0: invalid literal .*'no number'"):
        grow_module(model(4, Relative), model(2, Relative))


def test_a_wider_layer_is_grown_only_if_asked_for(rule):
    rule.append({'layer.weight': torch.zeros(4, 2)})
    student, teacher = model(4), model(2)
    assert grow_module(student, teacher, True)['2.weight'].shape == (3, 4)
    with pytest.raises(
            CannotGrow,
            match=r'^2: no rule .* Linear of weight \(3, 4\), bias \(3,\) '
            r'grows out of one of weight \(3, 2\), bias'):
        grow_module(student, teacher)


@pytest.mark.parametrize('kind', [DeformConv2dPack, ModulatedDeformConv2dPack])
def test_a_layer_that_has_another_as_its_child_is_wider(kind):
    narrow, wide = (kind(n, n, 3, padding=1) for n in (4, 8))
    nn.init.normal_(narrow.conv_offset.weight)  # it begins at 0
    wide.load_state_dict(grow_module(wide, narrow, True))
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(
        wide(copied(x, 2, 1)), copied(narrow(x), 2, 1), rtol=1e-5, atol=1e-5)


def test_a_layer_without_a_rule_is_refused():
    with pytest.raises(CannotGrow, match='^1: no rule tells how a PReLU'):
        grow_module(
            nn.Sequential(nn.Linear(2, 4), nn.PReLU(4)),
            nn.Sequential(nn.Linear(2, 2), nn.PReLU(2)), True)


def test_what_only_one_has_is_refused():
    longer = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    shorter = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(CannotGrow, match='^2: only the student has it'):
        grow_module(longer, shorter)
    with pytest.raises(CannotGrow, match='^2: only the teacher has it'):
        grow_module(shorter, longer)


def test_modules_without_tensors_are_not_looked_at():
    student = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    teacher = nn.Sequential(nn.Linear(2, 2), nn.ELU(), nn.Linear(2, 2))
    assert len(grow_module(student, teacher, True)) == 4


def test_a_tensor_of_the_module_itself_has_to_agree():

    class Scaled(Family):

        def __init__(self, width, shape):
            super().__init__(width)
            self.scale = nn.Parameter(torch.ones(shape))

    state = grow_module(Scaled(4, 3), Scaled(2, 3), True)
    assert state['scale'].shape == (3, )
    with pytest.raises(CannotGrow, match=r'^scale: no rule .*\(4,\).*\(3,\)'):
        grow_module(Scaled(4, 4), Scaled(2, 3), True)


def test_modules_of_other_classes_are_refused():
    with pytest.raises(
            CannotGrow, match='^0: the student has a Linear .* Conv2d'):
        grow_module(
            nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Conv2d(2, 2, 1)))
