# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import TinyModel

from mmw2s.distillation.capture import Call
from mmw2s.distillation.knowledge import Knowledge


def test_the_teachers_module_is_the_students_unless_another_is_named():
    assert Knowledge('neck').teacher_module == 'neck'
    assert Knowledge('neck', 'fpn').teacher_module == 'fpn'


def test_a_missing_module_is_refused_with_whose_it_is():
    with pytest.raises(ValueError, match='the student .* no module "bodi"'):
        Knowledge('bodi', 'body').check(TinyModel(), TinyModel())
    with pytest.raises(ValueError, match='the teacher .* no module "hed"'):
        Knowledge('head', 'hed').check(TinyModel(), TinyModel())


def test_as_many_calls_of_the_teacher_are_needed_as_the_student_made():
    calls = [Call((), torch.ones(1))] * 3
    assert Knowledge('head', 'out').calls_needed(dict(head=calls)) == \
        dict(out=3)


def test_a_knowledge_without_pairs_says_what_it_lacks():

    class Nothing(Knowledge):
        pass

    with pytest.raises(NotImplementedError, match='Nothing should define'):
        Nothing('neck').pairs({}, None)
