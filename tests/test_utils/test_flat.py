# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.utils.flat import dicts_in, differences, flat


def test_nested_values_have_dotted_names():
    assert flat('a', dict(b=[1, 'c'], d={}, e=(None, ))) == {
        'a.b.0': '1',
        'a.b.1': "'c'",
        'a.d': '{}',
        'a.e.0': 'None'
    }
    assert flat('a', 2.5) == {'a': '2.5'}


def test_what_differs_is_told_with_both_values():
    before, now = flat('a', dict(b=1, c=2)), flat('a', dict(b=1, c=3, d=4))
    assert differences(before, before) == []
    assert differences(
        before, now) == ['a.c was 2, now 3', 'a.d was not there, now 4']
    assert differences(now, before)[1] == 'a.d was 4, now not there'


def test_dicts_are_found_from_outside_in():
    inner = dict(c=1)
    outer = dict(a=[inner, 2], b=({}, ))
    assert list(dicts_in([outer, 'x'])) == [outer, inner, {}]
    assert list(dicts_in('x')) == []
