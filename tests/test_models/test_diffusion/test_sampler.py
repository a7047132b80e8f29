# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import diffusers
import pytest
import torch
from tiny_diffusion import build, diffusion
from torch.testing import assert_close

from mmw2s.models.diffusion import sampler

LONG = dict(num_train_timesteps=1000)


def model_with(kind, schedule=LONG, **fields):
    cfg = diffusion(
        schedule=schedule, sampler=dict(type=f'diffusers.{kind}Scheduler'))
    return build(dict(cfg, **fields)).eval()


class KnowingPixels(torch.nn.Module):
    """The best denoiser of images whose pixels are N(0.3, 0.2 ** 2)."""

    config = build(diffusion()).denoiser.config

    def __init__(self, alphas):
        super().__init__()
        self.alphas = alphas

    def forward(self, noisy, t, labels=None, return_dict=True):
        t = t[0].double()
        low, high = t.floor().long(), t.ceil().long()
        left = self.alphas[low].lerp(self.alphas[high], (t - low).float())
        share = left.sqrt() * 0.04 / (left * 0.04 + 1 - left)
        image = 0.3 + share * (noisy - left.sqrt() * 0.3)
        return ((noisy - left.sqrt() * image) / (1 - left).sqrt(), )


@pytest.mark.parametrize('kind, tolerance', [
    ('DDIM', 0.03),
    ('DDPM', 0.05),
    ('PNDM', 0.01),
    ('LMSDiscrete', 0.01),
    ('EulerDiscrete', 0.03),
    ('EulerAncestralDiscrete', 0.05),
    ('HeunDiscrete', 0.01),
    ('KDPM2Discrete', 0.01),
    ('KDPM2AncestralDiscrete', 0.03),
    ('DEISMultistep', 0.01),
    ('DPMSolverMultistep', 0.02),
    ('DPMSolverSinglestep', 0.03),
    ('UniPCMultistep', 0.02),
    ('SASolver', 0.02),
    ('TCD', 0.04),
])
def test_images_spread_as_the_denoiser_knows_them(kind, tolerance):
    model = model_with(kind, sampling_steps=50)
    assert_close(model.sampler.alphas_cumprod, model.alphas_cumprod)
    model.denoiser = KnowingPixels(model.alphas_cumprod)
    pixels = model.sample(range(64)) / 127.5 - 1
    assert abs(pixels.mean() - 0.3) < 0.01
    assert abs(pixels.std() - 0.2) < tolerance


@pytest.mark.parametrize('kind', [
    'EDMEuler', 'EDMDPMSolverMultistep', 'IPNDM', 'CMStochasticIterative',
    'UnCLIP', 'DDIMInverse', 'DPMSolverMultistepInverse', 'VQDiffusion',
    'FlowMatchEulerDiscrete', 'FlowMatchHeunDiscrete', 'RePaint', 'KarrasVe',
    'CogVideoXDDIM', 'DDPMWuerstchen', 'LCM', 'ScoreSdeVe'
])
def test_samplers_of_other_noise_are_refused(kind, monkeypatch):
    monkeypatch.setattr(sampler, '_fitting', lambda *_: ['others'])
    with pytest.raises(ValueError, match=f'{kind}Scheduler.*fit others'):
        model_with(kind)


def test_the_same_schedule_does_not_make_unclip_fit():
    cosine = dict(LONG, beta_schedule='squaredcos_cap_v2')
    with pytest.raises(ValueError, match='leaves more noise'):
        model_with('UnCLIP', cosine)


def test_those_that_fit_are_named():
    with pytest.raises(ValueError, match='fit DDIM.*HeunDiscrete') as error:
        model_with('EDMEuler')
    assert 'EDMEuler' not in str(error.value).split('schedule fit')[1]


@pytest.mark.parametrize('schedule', ['sigmoid', 'laplace'])
@pytest.mark.parametrize('kind', ['DDIM', 'EulerDiscrete'])
def test_schedules_that_a_sampler_cannot_compute_are_given_to_it(
        schedule, kind):
    model = model_with(kind, dict(LONG, beta_schedule=schedule))
    assert_close(model.sampler.alphas_cumprod, model.alphas_cumprod)


ZERO = dict(LONG, rescale_betas_zero_snr=True, prediction_type='v_prediction')


@pytest.mark.parametrize('kind', ['PNDM', 'LMSDiscrete'])
def test_samplers_that_would_leave_some_of_the_image_are_refused(kind):
    with pytest.raises(ValueError, match='rescale_betas_zero_snr'):
        model_with(kind, ZERO)
    assert model_with('DDIM', ZERO).sampler.config.rescale_betas_zero_snr


def test_noise_cannot_be_predicted_where_nothing_else_is_left():
    trailing = dict(
        type='diffusers.DDIMScheduler', timestep_spacing='trailing')
    zero = dict(ZERO, prediction_type='epsilon')
    with pytest.raises(ValueError, match='makes some of nan'):
        build(diffusion(schedule=zero, sampler=trailing))


@pytest.mark.parametrize('fields, message', [
    (dict(beta_end=0.01), 'alphas_cumprod is .* but .* of the scheduler'),
    (dict(prediction_type='sample'), 'prediction_type is sample'),
    (dict(num_train_timesteps=500), 'num_train_timesteps is 500'),
])
def test_a_sampler_that_is_given_another_noise_is_refused(fields, message):
    other = dict(type='diffusers.DDIMScheduler', **fields)
    with pytest.raises(ValueError, match=message):
        build(diffusion(sampler=other))


def test_a_sampler_that_draws_from_the_run_is_refused():

    class Careless(diffusers.EulerAncestralDiscreteScheduler):

        def step(self, prediction, t, images, return_dict=True):
            return super().step(prediction, t, images, return_dict=return_dict)

    with pytest.raises(ValueError, match='not follow from the seed'):
        build(diffusion(sampler=dict(type=Careless)))


def test_trying_a_sampler_out_leaves_random_numbers_alone():
    cfg = dict(type='diffusers.EulerAncestralDiscreteScheduler')
    before = torch.get_rng_state()
    sampler.build_sampler(cfg, diffusers.DDPMScheduler(), 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_other_settings_of_a_sampler_stay_its_own():
    config = model_with('DPMSolverMultistep').sampler.config
    assert config.timestep_spacing == 'linspace'
