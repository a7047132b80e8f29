# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import torch

from mmw2s.models.diffusion.fixed_noise import fixed_noise, fixed_timesteps


def test_noise_follows_from_the_number_whatever_else_is_in_the_batch():
    together = fixed_noise([3, 8, 5], (1, 4, 4))
    assert torch.equal(together[1:], fixed_noise([8, 5], (1, 4, 4)))
    assert not torch.equal(together[0], together[1])


def test_the_random_numbers_of_a_run_are_left_alone():
    before = torch.get_rng_state()
    fixed_noise([0, 1], (1, 4, 4))
    assert torch.equal(before, torch.get_rng_state())


def test_timesteps_cover_the_whole_range_evenly():
    t = fixed_timesteps(range(1000), 100)
    assert t.min() == 0 and t.max() == 99
    assert torch.bincount(t).float().std() < 1
    assert torch.equal(t[5:7], fixed_timesteps([5, 6], 100))
