# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch

from mmw2s.profiling.memory import allocated_mib, step_peak_mib

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='of tensors on a CPU')

MIB = 2**18  # values of 4 bytes


def test_tensors_that_share_their_memory_count_once():
    before = allocated_mib()
    whole = torch.ones(8 * MIB)
    views = [whole.view(2, -1), whole[:5], torch.nn.Parameter(whole)]
    assert allocated_mib() - before == pytest.approx(8, abs=0.1)
    del whole, views
    assert allocated_mib() == pytest.approx(before, abs=0.1)


def test_tensors_that_have_no_memory_are_passed_over():
    from torch._subclasses import FakeTensorMode
    before = allocated_mib()
    with FakeTensorMode():
        held = [torch.ones(8 * MIB)]
    held += [torch.ones(8 * MIB, device='meta')]
    assert allocated_mib() == pytest.approx(before, abs=0.1)


def test_the_peak_of_a_step_is_what_stood_at_a_time_beyond_what_was_there():
    standing = torch.ones(16 * MIB)

    def step():
        x = torch.ones(3 * MIB)
        del x
        y = torch.ones(2 * MIB)
        z = y + standing[:2 * MIB]
        return y, z

    kept = []
    for _ in range(3):  # what one keeps is nothing to the next
        assert step_peak_mib(lambda: kept.append(step())) == pytest.approx(
            4, abs=0.1)


def test_what_backward_needs_is_in_the_peak():
    x = torch.ones(MIB, requires_grad=True)

    def step():
        y = x
        for _ in range(4):
            y = y.exp()  # keeps its result
        y.sum().backward()

    # Four results and two gradients, then that of x.
    assert 5 < step_peak_mib(step) < 8


def test_a_step_without_tensors_takes_nothing():
    assert step_peak_mib(lambda: None) == 0
