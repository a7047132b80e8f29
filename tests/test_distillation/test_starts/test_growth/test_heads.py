# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from mmw2s.distillation.starts.growth import CannotGrow
from mmw2s.distillation.starts.growth.heads import Heads


def attend(queries, keys, values, weight, heads):
    """Attention of tokens (N, C), and the projection behind it."""
    q, k, v = (
        x.unflatten(1, (heads, -1)).transpose(0, 1)
        for x in (queries, keys, values))
    found = scaled_dot_product_attention(q, k, v)
    return found.transpose(0, 1).flatten(1) @ weight.T


@pytest.mark.parametrize('count, width', [(2, 8), (6, 24), (4, 16), (2, 16),
                                          (4, 48)])
def test_more_and_wider_heads_attend_alike(count, width):
    torch.manual_seed(0)
    given = [torch.randn(8, 5).double() for _ in range(3)]  # (C, N)
    weight = torch.randn(3, 8).double()
    heads = Heads.of(count, 2, width, 8)
    q, k, v = (heads.outputs(x) for x in given)
    found = attend(q.T * heads.query_scale, k.T, v.T, heads.inputs(weight),
                   count)
    expected = attend(*(x.T for x in given), weight, 2)
    torch.testing.assert_close(found, expected)


def test_copies_of_a_head_stand_beside_it():
    heads = Heads.of(4, 2, 8, 4)
    assert heads.outputs(torch.arange(4)).tolist() == [0, 1, 0, 1, 2, 3, 2, 3]


@pytest.mark.parametrize('numbers, message', [
    ((3, 2, 12, 8), '3 heads of attention, the teacher 2'),
    ((2, 2, 12, 8), '6 channels a head of attention, the teacher 4'),
])
def test_no_whole_multiple_is_refused(numbers, message):
    with pytest.raises(CannotGrow, match=message):
        Heads.of(*numbers)
