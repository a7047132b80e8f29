# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest

from mmw2s.distillation import class_matching as module
from mmw2s.distillation.class_matching import (check_classes, class_difference,
                                               columns_of)


def of(*classes):
    return SimpleNamespace(classes=classes or None)


def test_columns_are_found_by_name():
    assert columns_of(('a', 'b', 'c'), ('c', 'a')) == [2, 0]


@pytest.mark.parametrize('student', [('a', 'crane', 'crane'), None, ('z', )])
def test_equal_unknown_or_missing_classes_move_nothing(student):
    assert columns_of(('a', 'crane', 'crane'), student) is None


@pytest.mark.parametrize('student', [('crane', 'a'), ('crane', 'a', 'crane')])
def test_a_name_that_the_teacher_has_twice_is_asked_about(student):
    with pytest.raises(
            ValueError, match=r'nos\. 1, 3, which .* give teacher.classes='):
        columns_of(('a', 'crane', 'b', 'crane'), student)


def test_a_double_name_that_the_student_does_not_have_is_no_matter():
    assert columns_of(('crane', 'a', 'crane', 'b'), ('b', 'a')) == [3, 1]


def test_two_classes_of_the_student_with_one_name_are_asked_about():
    with pytest.raises(ValueError, match='nos. 0 and 1 are both'):
        columns_of(('a', 'b'), ('a', 'a'))


def test_another_spelling_is_taken_where_it_fits_one_class():
    names = ('Traffic_light', 'Polish', 'polish', 'stop sign')
    assert columns_of(names, ('stop-sign', 'traffic light')) == [3, 0]
    assert columns_of(names, ('polish', )) == [2]
    with pytest.raises(ValueError, match=r"'POLISH' may be any .* 1, 2"):
        columns_of(names, ('POLISH', ))


def test_other_spellings_in_the_same_order_are_the_same():
    assert class_difference(
        of('Traffic_light', 'cat'), ('traffic light', 'Cat')) is None


def test_a_class_that_a_package_has_respelt_is_the_same():
    one, other = ('confectionery, confectionery, candy store',
                  'confectionery, confectionary, candy store')
    assert class_difference(of('cat', one), ('cat', other)) is None
    assert columns_of(('cat', one), (other, )) == [1]


def test_the_same_names_in_another_order_differ():
    message = class_difference(of('a', 'b'), ('b', 'a'))
    assert "0: 'a' against 'b'" in message
    with pytest.raises(ValueError, match='teacher.classes='):
        check_classes(of('a', 'b'), ('b', 'a'), strict=True)
    assert not check_classes(of('a', 'b'), ('b', 'a'), strict=False)
    message = class_difference(of('a'), ('a', 'b'))
    assert message.endswith("they differ at 1: None against 'b'")


def test_a_checkpoint_without_names_is_told_of(said):
    assert check_classes(of(), ('a', 'b'), strict=True)
    assert 'does not name its classes' in said[0]


def test_of_many_classes_each_name_is_read_a_few_times(monkeypatch):
    names = [f'no. {i}' for i in range(2000)]
    student = [name.upper() for name in names[::10]]
    read, spelling = [], module.spelling
    monkeypatch.setattr(module, 'spelling',
                        lambda name: read.append(name) or spelling(name))
    assert columns_of(names, student) == list(range(0, 2000, 10))
    assert len(read) <= 3 * (len(names) + len(student))
