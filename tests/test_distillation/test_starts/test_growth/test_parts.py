# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from torch import nn

from mmw2s.distillation.starts.growth import CannotGrow
from mmw2s.distillation.starts.growth.parts import part, spread_blocks, zeros


@pytest.mark.parametrize('student, teacher, expected', [
    (3, 3, [0, 1, 2]),
    (4, 2, [0, None, 1, None]),
    (5, 3, [0, None, 1, None, 2]),
    (3, 1, [0, None, None]),
])
def test_new_blocks_are_spread_among_the_teachers(student, teacher, expected):
    assert spread_blocks(student, teacher) == expected


@pytest.mark.parametrize('teacher', range(1, 9))
def test_each_block_of_the_teacher_comes_once_and_the_first_first(teacher):
    for student in range(teacher, 20):
        blocks = spread_blocks(student, teacher)
        assert len(blocks) == student and blocks[0] == 0
        assert [b for b in blocks if b is not None] == [*range(teacher)]


def test_fewer_blocks_are_refused():
    with pytest.raises(CannotGrow, match='has 1 blocks, the teacher 2'):
        spread_blocks(1, 2)


def test_a_part_is_named_in_tensors_and_errors():
    state = part('conv', zeros, nn.Linear(2, 3))
    assert {
        k: v.shape
        for k, v in state.items()
    } == {
        'conv.weight': (3, 2),
        'conv.bias': (3, )
    }
    assert not torch.cat([v.flatten() for v in state.values()]).any()
    with pytest.raises(CannotGrow, match='^layers.0: the student has 1'):
        part('layers.0', spread_blocks, 1, 2)
