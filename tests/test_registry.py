# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.registry import KNOWLEDGE, SCHEDULES, STARTS, STOP_RULES


@pytest.mark.parametrize('registry, name', [(KNOWLEDGE, 'FPNFeatures'),
                                            (KNOWLEDGE, 'DenseHeadOutputs'),
                                            (SCHEDULES, 'Linear'),
                                            (STARTS, 'Inherit'),
                                            (STARTS, 'Grow'),
                                            (STARTS, 'Corner'),
                                            (STOP_RULES, 'SurpassTeacher')])
def test_the_parts_are_found_by_their_bare_name(registry, name):
    assert registry.get(name).__name__ == name


def test_a_misspelt_type_is_refused_and_the_nearest_is_named():
    with pytest.raises(KeyError) as error:
        STOP_RULES.build(dict(type='SurpassTeachr'))
    assert 'did you mean "SurpassTeacher"' in str(error.value)
    assert 'SurpassOnTrain' in str(error.value)


@pytest.mark.parametrize('cfg', ['At', dict(iter=3), None, ['At']])
def test_what_is_no_config_is_refused_with_what_was_expected(cfg):
    with pytest.raises(
            TypeError, match='a stop rule should be a dict with '
            'the key "type"'):
        STOP_RULES.build(cfg)


def test_an_unknown_field_of_a_part_is_refused_before_it_is_built():
    with pytest.raises(
            TypeError,
            match='SurpassTeacher has no field '
            '"consecutve": did you mean "consecutive"'):
        STOP_RULES.build(dict(type='SurpassTeacher', consecutve=3))


def test_a_class_is_taken_as_the_type():
    cls = STOP_RULES.get('At')
    rule = STOP_RULES.build(dict(type=cls, iter=7))
    assert isinstance(rule, cls) and rule.iter == 7


def test_an_unregistered_class_of_the_user_is_taken_as_the_type():

    class Never:

        def __init__(self, why='because'):
            self.why = why

    assert STOP_RULES.build(dict(type=Never, why='so')).why == 'so'
    with pytest.raises(TypeError, match='Never has no field "whi"'):
        STOP_RULES.build(dict(type=Never, whi='so'))


def test_a_registered_class_of_the_user_is_found_and_checked():

    @STOP_RULES.register_module()
    class OnMondays(STOP_RULES.get('At')):

        def __init__(self, hour=0, **kwargs):
            super().__init__(**kwargs)
            self.hour = hour

    try:
        rule = STOP_RULES.build(dict(type='OnMondays', hour=9, iter=5))
        assert (rule.hour, rule.iter) == (9, 5)
    finally:
        STOP_RULES.module_dict.pop('OnMondays')
