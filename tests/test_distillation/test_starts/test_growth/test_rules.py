# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from torch import nn

from mmw2s.distillation.starts.growth import rules
from mmw2s.distillation.starts.growth.rules import (CannotGrow, families,
                                                    find_rule, growth_rule,
                                                    refuse_other_class)


class Base(nn.Module):
    pass


class Derived(Base):
    pass


@pytest.fixture(autouse=True)
def own_rules(monkeypatch):
    monkeypatch.setattr(rules, '_RULES', dict(rules._RULES))


def test_a_rule_is_found_by_the_nearest_class_that_has_one():

    @growth_rule('Base')
    def grow_base(student, teacher):
        return {}

    assert find_rule(Derived()) is grow_base
    assert 'Base' in families()

    @growth_rule('Derived')
    def grow_derived(student, teacher):
        return {}

    assert find_rule(Derived()) is grow_derived
    assert find_rule(Base()) is grow_base
    assert find_rule(nn.Identity()) is None


def test_a_class_has_one_rule():
    growth_rule('Base')(lambda student, teacher: {})
    with pytest.raises(ValueError, match='a growth rule for Base already'):
        growth_rule('Other', 'Base')(lambda student, teacher: {})


def test_the_place_is_told_from_outside_in():
    error = CannotGrow('it has 3 inputs').inside('conv1').inside('backbone')
    assert str(error) == 'backbone.conv1: it has 3 inputs'
    assert (error.why, error.place) == ('it has 3 inputs', 'backbone.conv1')
    assert str(CannotGrow('it has 3 inputs')) == 'it has 3 inputs'


def test_layers_of_another_class_are_refused():
    with pytest.raises(CannotGrow, match='Linear.*Conv2d|Conv2d.*Linear'):
        refuse_other_class(nn.Linear(2, 2), nn.Conv2d(2, 2, 1))
    # One norm, over several processes or not.
    refuse_other_class(nn.SyncBatchNorm(2), nn.BatchNorm2d(2))
