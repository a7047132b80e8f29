# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import TinyModel
from torch import nn

from mmw2s.distillation.knowledge import Knowledge
from mmw2s.distillation.recorder import Call


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


class Branched(TinyModel):
    """As TridentNet: each image in several branches in training."""

    def __init__(self, branches, in_prediction):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 1)
        self.backbone.num_branch = branches
        self.backbone.test_branch_idx = in_prediction


@pytest.mark.parametrize('student, teacher, message', [
    (Branched(3, 1), Branched(3, 1), 'cfg_options=.*"model.backbone.test_bra'),
    (Branched(3, 1), TinyModel(), 'as many branches$'),
    (Branched(3, 1), Branched(2, -1), '3 branches of an image.*of 2'),
    (TinyModel(), Branched(3, -1), 'or one whose test_branch_idx is not -1'),
])
def test_branches_that_only_one_model_has_are_refused(student, teacher,
                                                      message):
    with pytest.raises(ValueError, match=message):
        Knowledge('body').check(student, teacher)


@pytest.mark.parametrize(
    'student, teacher',
    [
        (Branched(3, 1), Branched(3, -1)),
        (TinyModel(), Branched(3, 1)),
        (TinyModel(), TinyModel()),
        (Branched(3, None), Branched(2, None)),  # of another kind
    ])
def test_as_many_branches_in_both_are_taken(student, teacher):
    Knowledge('body').check(student, teacher)
