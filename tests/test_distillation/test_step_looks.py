# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
import torch.nn.functional as F
from ranks import run_ranks
from torch import nn

from mmw2s.distillation.step_looks import gradient_cosine


def graph(seed=0):
    """Maps of a layer, and two losses of them, linear ones."""
    torch.manual_seed(seed)
    maps = nn.Linear(3, 5)(torch.randn(4, 3))
    task, distillation = torch.randn(2, 4, 5)
    return maps, task, distillation


def test_the_cosine_is_that_of_the_gradients_on_the_maps():
    maps, a, b = graph()
    task = (maps * a).sum()
    found = gradient_cosine(task, (maps * b).sum() * 7, [maps], 'all')
    expected = F.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    task.backward()  # the graph is still there
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_several_maps_are_one_gradient():
    (one, a, b), (other, c, d) = graph(0), graph(1)
    found = gradient_cosine((one * a).sum() + (other * c).sum(),
                            (one * b).sum() + (other * d).sum(), [one, other],
                            'all')
    expected = F.cosine_similarity(
        torch.cat([a, c]).flatten(), torch.cat([b, d]).flatten(), dim=0)
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_map_that_one_loss_alone_reaches_is_left_out():
    (one, a, b), (other, c, _) = graph(0), graph(1)
    task = (one * a).sum() + (other * c).sum()
    found = gradient_cosine(task, (one * b).sum(), [one, other], 'all')
    expected = F.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)
    with pytest.raises(
            ValueError, match='of loss_kd_fpn have no map in common'):
        gradient_cosine(task, (one * b).sum(), [other], 'loss_kd_fpn')


def test_small_gradients_in_half_precision_are_not_lost():
    maps, a, b = graph()
    half = maps.half()
    found = gradient_cosine((half.float() * a).sum() * 1e-7,
                            (half.float() * b).sum() * 1e-7, [half], 'all')
    expected = F.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    assert found.item() == pytest.approx(expected.item(), abs=1e-2)


def test_without_a_gradient_there_is_no_cosine():
    maps, a, _ = graph()
    found = gradient_cosine((maps * a).sum(), (maps * 0).sum(), [maps], 'all')
    assert torch.isnan(found)


def test_a_graph_that_refuses_a_second_backward_is_told():
    maps, a, b = graph()
    losses = (maps.exp() * a).sum(), (maps.exp() * b).sum()
    losses[1].backward(retain_graph=False)
    with pytest.raises(ValueError, match='StopOnConflict needs a second back'):
        gradient_cosine(*losses, [maps], 'all')


RANK = '''
import torch.distributed as dist
from test_distillation.test_step_looks import graph
from mmw2s.distillation.step_looks import gradient_cosine

dist.init_process_group('gloo')
half = slice(2 * dist.get_rank(), 2 * dist.get_rank() + 2)
maps, a, b = (x[half] for x in graph())
print('cosine', gradient_cosine((maps * a).sum(), (maps * b).sum(), [maps],
                                'all').item())
dist.destroy_process_group()
'''


@pytest.mark.slow
def test_two_ranks_have_the_cosine_of_the_whole_batch():
    maps, a, b = graph()
    whole = gradient_cosine((maps * a).sum(), (maps * b).sum(), [maps], 'all')
    for code, shown in run_ranks(RANK):
        assert code == 0, shown
        found = float(shown.split('cosine ')[1].split()[0])
        assert found == pytest.approx(whole.item(), abs=1e-6)
