# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.registry import STOP_RULES
from mmw2s.utils.building import build_checked, check_fields


def test_an_unknown_field_is_refused_and_the_nearest_is_named():
    with pytest.raises(
            TypeError,
            match='rule has no field "metrik": did you '
            'mean "metric"'):
        check_fields('rule', ['metrik'], ['metric', 'margin'])


def test_a_field_like_no_other_is_refused_with_the_list_of_fields():
    with pytest.raises(TypeError, match='its fields are: metric, margin'):
        check_fields('rule', ['zzz'], ['metric', 'margin'])


def test_a_field_of_what_has_none_is_refused():
    with pytest.raises(TypeError, match='it has none'):
        check_fields('rule', ['zzz'], [])


def test_known_fields_pass():
    check_fields('rule', ['margin'], iter(['metric', 'margin']))


def test_building_leaves_the_config_as_it_was():
    cfg = dict(type='At', iter=3)
    build_checked(cfg, STOP_RULES)
    assert cfg == dict(type='At', iter=3)
