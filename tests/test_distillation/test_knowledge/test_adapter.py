# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank, get_world_size
from torch import multiprocessing

from mmw2s.distillation.knowledge.adapter import (ChannelAdapters,
                                                  random_projection)
from mmw2s.distillation.knowledge.base import Pair
from mmw2s.models.losses import MSEKDLoss, PKDLoss


def maps(channels, seed=0, count=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, 6, 6, generator=generator)


def pair_of(adapters, student, teacher, level=0):
    adapter = adapters.adapter(level, student, teacher.shape[1])
    return Pair('map', student, teacher, adapter=adapter)


def compare(loss=MSEKDLoss()):
    return lambda pairs: [loss(p.student, p.teacher) for p in pairs]


def test_it_begins_as_a_random_projection_and_draws_no_random_number():
    state = torch.get_rng_state()
    (weight, ), mask = ChannelAdapters(7).adapter(2, maps(3), 5)
    assert mask is None
    assert torch.equal(weight, random_projection(9, 3, 5))
    assert weight.shape == (5, 3, 1, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_step_is_that_of_adam_on_the_distillation_loss():
    adapters, student, teacher = ChannelAdapters(0), maps(3), maps(5, 1)
    expected = torch.nn.Parameter(random_projection(0, 3, 5))
    optimizer = torch.optim.Adam([expected], lr=1e-3)
    for _ in range(3):
        found, = adapters.fit([pair_of(adapters, student, teacher)], compare())
        optimizer.zero_grad()
        F.mse_loss(F.conv2d(student, expected), teacher).backward()
        optimizer.step()
        torch.testing.assert_close(found.student, F.conv2d(student, expected))
        assert found.teacher is teacher


def test_the_students_loss_takes_it_as_a_constant():
    adapters, student = ChannelAdapters(0), maps(3).requires_grad_()
    pair = pair_of(adapters, student, maps(5, 1))
    found, = adapters.fit([pair], compare())
    assert student.grad is None
    compare()([found])[0].backward()
    assert student.grad.abs().sum() > 0
    assert pair.adapter.weights[0].grad is None


@pytest.mark.parametrize('loss', [MSEKDLoss(), PKDLoss()])
def test_it_learns_what_the_teachers_channels_are_of_the_students(loss):
    adapters, student = ChannelAdapters(0), maps(16)
    teacher = F.conv2d(student, random_projection(5, 16, 24))
    losses = []
    for _ in range(500):
        found, = adapters.fit([pair_of(adapters, student, teacher)],
                              compare(loss))
        losses.append(compare(loss)([found])[0].item())
    assert losses[-1] < 0.1 * losses[0]


def test_calls_of_one_level_share_an_adapter_and_levels_have_their_own():
    adapters = ChannelAdapters(0)
    pairs = [
        pair_of(adapters, maps(3, i), maps(5, 9), level)
        for i, level in enumerate((0, 0, 1))
    ]
    weights = [pair.adapter.weights[0] for pair in pairs]
    assert weights[0] is weights[1]
    assert not torch.equal(weights[0], weights[2])
    before = [weight.clone() for weight in weights]
    found = adapters.fit(pairs, compare())
    sum(compare()(found))  # none of them changed meanwhile
    assert not any(map(torch.equal, weights, before))


def test_pairs_of_equal_channels_and_levels_that_are_absent_are_left_alone():
    adapters = ChannelAdapters(0)
    absent, = adapters.adapter(1, maps(3), 5).weights
    before = absent.clone()
    plain = Pair('map', maps(5), maps(5, 1))
    found = adapters.fit([plain, pair_of(adapters, maps(3), maps(5))],
                         compare())
    assert found[0] is plain and torch.equal(absent, before)
    assert adapters.fit([plain], compare()) == [plain]


def test_a_batch_that_overflows_teaches_nothing():
    adapters = ChannelAdapters(0)
    pair = pair_of(adapters, maps(3) * float('inf'), maps(5))
    before = pair.adapter.weights[0].clone()
    adapters.fit([pair], compare())
    assert torch.equal(pair.adapter.weights[0], before)


def test_under_autocast_it_learns_in_float32():
    adapters, student = ChannelAdapters(0), maps(3).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        for _ in range(2):
            pair = pair_of(adapters, student, maps(5, 1))
            found, = adapters.fit([pair], compare())
    assert found.student.dtype == torch.float32
    expected = F.conv2d(student.float(), pair.adapter.weights[0])
    assert torch.equal(found.student, expected.detach())


@pytest.mark.parametrize('saved_twice', [False, True])
def test_from_its_saved_state_it_goes_on_as_if_it_had_not_been_cut(
        saved_twice):
    first, second = ChannelAdapters(0), ChannelAdapters(0)

    def steps(adapters, count):
        for i in range(count):
            pairs = [
                pair_of(adapters, maps(3, i), maps(5, i + 1), level)
                for level in (0, 2)
            ]
            found = adapters.fit(pairs, compare())
        return found

    steps(first, 3)
    state = copy.deepcopy(first.state_dict())
    if saved_twice:  # before a batch is distilled
        third = ChannelAdapters(0)
        third.load_state_dict(state)
        state = third.state_dict()
    second.load_state_dict(state)
    for a, b in zip(steps(first, 3), steps(second, 3)):
        assert torch.equal(a.student, b.student)


def layers(kernels, weights):
    """The same adapter, of torch's own modules."""
    made = []
    for kernel, weight in zip(kernels, weights):
        out, inside = weight.shape[:2]
        conv = torch.nn.Conv2d(
            inside, out, kernel, padding=kernel // 2, bias=False)
        conv.weight.data.copy_(weight)
        made += [conv, torch.nn.ReLU()]
    return torch.nn.Sequential(*made[:-1])


@pytest.mark.parametrize('kind, kernels', [('conv3x3', [3]),
                                           ('mlp', [1, 1, 1])])
def test_larger_adapters_learn_by_the_same_steps(kind, kernels):
    adapters, student, teacher = ChannelAdapters(0, kind), maps(3), maps(5, 1)
    pair = pair_of(adapters, student, teacher)
    expected = layers(kernels, pair.adapter.weights)
    optimizer = torch.optim.Adam(expected.parameters(), lr=1e-3)
    for _ in range(3):
        found, = adapters.fit([pair_of(adapters, student, teacher)], compare())
        optimizer.zero_grad()
        F.mse_loss(expected(student), teacher).backward()
        optimizer.step()
        torch.testing.assert_close(found.student, expected(student))


def test_masks_hide_two_thirds_of_the_locations_and_change_by_the_batch():
    state = torch.get_rng_state()
    adapters = ChannelAdapters(0, 'masked')
    student, teacher = torch.ones(8, 3, 32, 32), torch.ones(8, 5, 32, 32)
    pairs = [pair_of(adapters, student, teacher) for _ in range(2)]
    for pair in pairs:
        assert pair.adapter.mask.float().mean().item() == pytest.approx(
            0.35, abs=0.02)
    assert not torch.equal(pairs[0].adapter.mask, pairs[1].adapter.mask)
    assert torch.equal(torch.get_rng_state(), state)
    # What is hidden has no gradient: it is rebuilt from its neighbours.
    student.requires_grad_()
    pair = pair_of(adapters, student, teacher)
    adapters.fit([pair], compare())[0].student.sum().backward()
    assert (student.grad * ~pair.adapter.mask).abs().max() == 0
    assert (student.grad * pair.adapter.mask).abs().sum() > 0
    shown = student.detach() * pair.adapter.mask
    torch.testing.assert_close(
        pair.adapter(student.detach()),
        layers([3, 3], pair.adapter.weights)(shown))


def test_masks_go_on_where_a_run_was_cut():
    whole, cut = (ChannelAdapters(3, 'masked') for _ in range(2))
    for adapters in (whole, cut):
        adapters.adapter(0, maps(3), 5)
    resumed = ChannelAdapters(3, 'masked')
    resumed.load_state_dict(copy.deepcopy(cut.state_dict()))
    assert torch.equal(
        resumed.adapter(0, maps(3), 5).mask,
        whole.adapter(0, maps(3), 5).mask)


def test_the_state_of_an_earlier_version_is_read():
    old, new = ChannelAdapters(0), ChannelAdapters(1)
    weight, = old.adapter(0, maps(3), 5).weights
    saved = old.state_dict()['adapters'][0]
    new.load_state_dict(
        dict(adapters={
            0: dict(weight=weight.detach(), optimizer=saved['optimizer'])
        }))
    assert torch.equal(new.adapter(0, maps(3), 5).weights[0], weight)


def on_a_rank(rank, folder):
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2)
    assert (get_rank(), get_world_size()) == (rank, 2)
    adapters = ChannelAdapters(0)
    half = slice(2 * rank, 2 * rank + 2)
    for i in range(3):
        pair = pair_of(adapters, maps(3, i)[half], maps(5, i + 1)[half])
        adapters.fit([pair], compare())
    torch.save(pair.adapter.detach().weights[0], f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


def test_two_ranks_stay_equal_and_learn_what_one_would(tmp_path):
    multiprocessing.start_processes(
        on_a_rank, (str(tmp_path), ), nprocs=2, start_method='fork')
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1))
    assert torch.equal(first, second)
    alone = ChannelAdapters(0)
    for i in range(3):
        pair = pair_of(alone, maps(3, i), maps(5, i + 1))
        alone.fit([pair], compare())
    torch.testing.assert_close(first, pair.adapter.detach().weights[0])
