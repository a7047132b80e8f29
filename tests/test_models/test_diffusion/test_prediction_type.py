# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from torch.testing import assert_close

from mmw2s.models.diffusion.prediction_type import (PREDICTION_TYPES, convert,
                                                    min_snr_weight, target_of)

ALPHAS = torch.tensor([0.99, 0.5, 0.04])


def noisy_images():
    torch.manual_seed(0)
    images, noise = torch.rand(3, 1, 4, 4) * 2 - 1, torch.randn(3, 1, 4, 4)
    a, s = (x.sqrt().view(-1, 1, 1, 1) for x in (ALPHAS, 1 - ALPHAS))
    return images, noise, a * images + s * noise


@pytest.mark.parametrize('to', PREDICTION_TYPES)
@pytest.mark.parametrize('kind', PREDICTION_TYPES)
def test_a_perfect_prediction_stays_perfect_in_every_other_kind(kind, to):
    images, noise, noisy = noisy_images()
    prediction = target_of(kind, images, noise, ALPHAS)
    assert_close(
        convert(prediction, noisy, ALPHAS, kind, to),
        target_of(to, images, noise, ALPHAS),
        rtol=1e-4,
        atol=1e-5)


def test_v_is_what_diffusers_takes_for_it():
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.DDPMScheduler(100)
    images, noise, noisy = noisy_images()
    t = torch.tensor([3, 50, 99])
    alphas = scheduler.alphas_cumprod[t]
    assert_close(
        target_of('v_prediction', images, noise, alphas),
        scheduler.get_velocity(images, noise, t))


@pytest.mark.parametrize('gamma', [0.5, 5., 1000.])
@pytest.mark.parametrize('kind', PREDICTION_TYPES)
def test_min_snr_counts_an_error_alike_in_every_kind(kind, gamma):
    images, noise, noisy = noisy_images()
    wrong = images + torch.randn_like(images)
    prediction = convert(wrong, noisy, ALPHAS, 'sample', kind)
    error = prediction - target_of(kind, images, noise, ALPHAS)
    snr = ALPHAS / (1 - ALPHAS)
    expected = snr.clamp(max=gamma).view(-1, 1, 1, 1) * (wrong - images)**2
    assert_close(
        min_snr_weight(ALPHAS, gamma, kind) * error**2,
        expected,
        rtol=1e-3,
        atol=1e-5)


def test_min_snr_weighs_noise_where_nothing_is_left_of_the_image():
    weight = min_snr_weight(torch.tensor([0., 0.5]), 5., 'epsilon')
    assert weight.flatten().tolist() == [1, 1]
