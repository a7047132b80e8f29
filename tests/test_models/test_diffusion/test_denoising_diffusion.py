# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import diffusers
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from tiny_diffusion import batch, build, diffusion
from torch.testing import assert_close

from mmw2s.models.diffusion.fixed_noise import fixed_timesteps
from mmw2s.models.diffusion.prediction_type import PREDICTION_TYPES
from mmw2s.utils import versions

DIT = dict(
    type='diffusers.DiTTransformer2DModel',
    num_attention_heads=2,
    attention_head_dim=4,
    in_channels=1,
    out_channels=1,
    num_layers=1,
    sample_size=8,
    patch_size=2,
    num_embeds_ada_norm=3)


@pytest.mark.parametrize('kind', PREDICTION_TYPES)
def test_loss_is_that_of_a_plain_loop(kind):
    model = build(diffusion(kind=kind))
    inputs, samples = batch()
    torch.manual_seed(7)
    loss = model(inputs, samples, mode='loss')['loss_denoising']

    torch.manual_seed(7)
    noise, t = torch.randn(4, 1, 8, 8), torch.randint(100, (4, ))
    betas = torch.linspace(1e-4, 0.02, 100)
    left = torch.cumprod(1 - betas, 0)[t].view(-1, 1, 1, 1)
    noisy = left.sqrt() * inputs + (1 - left).sqrt() * noise
    target = dict(
        epsilon=noise,
        sample=inputs,
        v_prediction=left.sqrt() * noise - (1 - left).sqrt() * inputs)[kind]
    assert_close(loss, F.mse_loss(model.denoiser(noisy, t).sample, target))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_min_snr_weights_timesteps_where_much_of_the_image_is_left():
    inputs, samples = batch()
    losses = []
    for gamma in (None, 1e9, 1.):
        model = build(diffusion(min_snr_gamma=gamma))
        torch.manual_seed(7)
        losses.append(model(inputs, samples, mode='loss')['loss_denoising'])
    assert_close(losses[0], losses[1])
    assert losses[2] < losses[0]


def test_cosine_schedule_is_taken():
    model = build(diffusion(schedule=dict(beta_schedule='squaredcos_cap_v2')))
    assert_close(
        model.alphas_cumprod[49], torch.tensor(0.5), rtol=0.05, atol=0)


def test_labels_reach_a_conditional_denoiser():
    model = build(diffusion(classes=3)).eval()
    inputs, samples = batch()
    noisy, t = torch.randn_like(inputs), torch.tensor([5, 5, 5, 5])
    labels = torch.tensor([0, 1, 2, 0])
    out = model.denoise(noisy[:1].expand(4, -1, -1, -1), t, labels)
    assert_close(out[0], out[3])
    assert not torch.allclose(out[0], out[1])
    assert model(inputs, samples, mode='loss')['loss_denoising'] > 0
    del samples[1].gt_label
    with pytest.raises(ValueError, match='no gt_label'):
        model(inputs, samples, mode='loss')


def test_mmpretrains_data_samples_do_too():
    structures = pytest.importorskip('mmpretrain.structures')
    inputs, _ = batch()
    samples = [
        structures.DataSample(
            metainfo=dict(sample_idx=i, sample_seed=i)).set_gt_label(i % 3)
        for i in range(4)
    ]
    model = build(diffusion(classes=3)).eval()
    assert model(inputs, samples, mode='loss')['loss_denoising'] > 0
    found = model(inputs, samples, mode='predict')
    assert found[2].generated.shape == (1, 8, 8)


def test_a_transformer_is_a_denoiser_too():
    model = build({**diffusion(classes=3), 'denoiser': DIT})
    inputs, samples = batch()
    assert model(inputs, samples).shape == inputs.shape
    assert model.eval().sample([0, 1]).shape == (2, 1, 8, 8)


# -- predict ---------------------------------------------------------------


def errors(model, inputs, samples):
    found = model.eval()(inputs, samples, mode='predict')
    return torch.stack([s.denoising_error for s in found])


def test_errors_are_the_same_each_time_and_in_any_batch():
    model = build(diffusion())
    inputs, samples = batch()
    first = errors(model, inputs, samples)
    torch.manual_seed(99)
    assert_close(errors(model, inputs[2:], samples[2:]), first[2:])


@pytest.mark.parametrize('kind', PREDICTION_TYPES)
def test_errors_are_of_the_noise_whatever_is_predicted(kind):
    model = build(diffusion(kind=kind))
    inputs, samples = batch()

    class Knowing(torch.nn.Module):
        """Predicts an image of zeros."""

        def forward(self, noisy, t, labels=None, return_dict=True):
            left = model.alphas_cumprod[t].view(-1, 1, 1, 1)
            a, s = left.sqrt(), (1 - left).sqrt()
            return (dict(
                epsilon=noisy / s,
                sample=noisy * 0,
                v_prediction=a * noisy / s)[kind], )

    images = inputs.square().flatten(1).mean(1)
    denoiser, model.denoiser = model.denoiser, Knowing()
    Knowing.config = denoiser.config
    found = errors(model, inputs, samples)
    left = model.alphas_cumprod[fixed_timesteps(range(4), 100)]
    # Noise is wrong by a / s times what the image is wrong by.
    assert_close(found, left / (1 - left) * images, rtol=1e-3, atol=1e-5)


def test_images_without_a_number_are_refused_in_evaluation():
    inputs, samples = batch()
    with pytest.raises(ValueError, match='no sample_idx.*PackImage'):
        build(diffusion())(inputs, None, mode='predict')


def test_an_image_is_generated_where_the_data_ask_for_it():
    inputs, samples = batch(sample_seed=10)
    del samples[0].sample_seed
    found = build(diffusion()).eval()(inputs, samples, mode='predict')
    assert 'generated' not in found[0]
    for sample in found[1:]:
        assert sample.generated.shape == (1, 8, 8)
        assert sample.generated.dtype == torch.uint8
        assert sample.sampler == 'ddim4'


# -- generating --------------------------------------------------------------


@pytest.mark.parametrize('sampler, name', [
    ('DDIMScheduler', 'ddim4'),
    ('DPMSolverMultistepScheduler', 'dpmsolver4'),
    ('DDPMScheduler', 'ddpm4'),
])
def test_an_image_follows_from_its_seed(sampler, name):
    model = build(diffusion(sampler=dict(type=f'diffusers.{sampler}'))).eval()
    assert model.sampler_name == name
    state = torch.get_rng_state()
    together = model.sample([1, 2, 3]).int()
    assert torch.equal(state, torch.get_rng_state())
    assert (together[1:] - model.sample([2, 3]).int()).abs().max() <= 1
    assert (together[0] - together[1]).abs().max() > 10


def test_the_sampler_takes_over_the_noise_schedule():
    model = build(
        diffusion(
            kind='v_prediction',
            schedule=dict(beta_schedule='squaredcos_cap_v2')))
    assert_close(model.sampler.alphas_cumprod, model.scheduler.alphas_cumprod)
    assert model.sampler.config.prediction_type == 'v_prediction'


@pytest.mark.parametrize('kind', ['DDIM', 'DDPM'])
def test_images_are_those_of_diffusers_own_pipeline(kind):
    model = build(diffusion(sampler=dict(type=f'diffusers.{kind}Scheduler')))
    model.eval()
    pipeline = getattr(diffusers, f'{kind}Pipeline')(model.denoiser,
                                                     model.sampler)
    pipeline.set_progress_bar_config(disable=True)
    wanted = pipeline(
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=4,
        output_type='np').images
    # The first draw of a seed is the noise that both begin with; what DDPM
    # adds on the way are the next ones.
    found = model.sample([3]).permute(0, 2, 3, 1) / 255.
    assert_close(found, torch.from_numpy(wanted).float(), atol=2 / 255, rtol=0)


def test_classes_are_taken_in_turns(monkeypatch):
    model = build(diffusion(classes=3)).eval()
    seen = []
    denoise = model.denoise
    monkeypatch.setattr(
        model, 'denoise',
        lambda x, t, labels: seen.append(labels) or denoise(x, t, labels))
    model.sample([4, 5, 6])
    assert seen[0].tolist() == [1, 2, 0]


def conditional(**fields):
    """Knows three classes, and what an image without one is."""
    return diffusion(classes=4, num_classes=3, class_dropout=0.5, **fields)


def labels_seen(model, count=400):
    """What the denoiser is told in a training step."""
    seen = []
    model.denoiser.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[2]))
    inputs, samples = batch(count)
    model.train()(inputs, samples, mode='loss')
    return seen[0], torch.cat([sample.gt_label for sample in samples])


def test_some_labels_are_dropped_in_training_where_asked():
    torch.manual_seed(0)
    seen, given = labels_seen(build(conditional()))
    dropped = seen == 3
    assert dropped.float().mean() == pytest.approx(0.5, abs=0.1)
    assert torch.equal(seen[~dropped], given[~dropped])
    seen, given = labels_seen(build(diffusion(classes=3)))
    assert torch.equal(seen, given)


def test_a_label_of_the_data_cannot_stand_for_none():
    model = build(conditional())
    inputs, samples = batch()
    samples[1].gt_label = torch.tensor([3])
    with pytest.raises(ValueError, match='0 to 2, .* the data have 0 to 3'):
        model(inputs, samples, mode='loss')


def test_a_transformer_drops_no_labels_by_itself():
    model = build({**diffusion(classes=3), 'denoiser': DIT}).train()
    noisy, t = torch.randn(64, 1, 8, 8), torch.full((64, ), 5)
    labels = torch.full((64, ), 1)
    one = model.denoise(noisy, t, labels)
    assert_close(model.denoise(noisy, t, labels), one, rtol=0, atol=0)


def test_guidance_goes_away_from_what_is_predicted_without_a_class():
    model = build(conditional(guidance_scale=2.5)).eval()
    assert model.sampler_name == 'ddim4_cfg2.5'
    noisy, t = torch.randn(2, 1, 8, 8), torch.tensor([5, 5])
    known = model.denoise(noisy, t, torch.tensor([0, 2]))
    free = model.denoise(noisy, t, torch.tensor([3, 3]))
    assert_close(
        model.guided(noisy, t, torch.tensor([0, 2])), 2.5 * known - 1.5 * free)
    plain = build(conditional()).eval()
    assert plain.sampler_name == 'ddim4'
    assert not torch.equal(model.sample([0, 1]), plain.sample([0, 1]))


def test_it_opens_in_diffusers(tmp_path):
    model = build(diffusion()).eval()
    model.save_pretrained(tmp_path)
    pipeline = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    inputs, _ = batch()
    t = torch.tensor([1, 2, 3, 4])
    assert_close(pipeline.unet(inputs, t).sample, model.denoise(inputs, t))
    assert_close(pipeline.scheduler.alphas_cumprod, model.alphas_cumprod)


def test_a_transformer_opens_in_diffusers(tmp_path):
    model = build({**diffusion(classes=3), 'denoiser': DIT})
    model.save_pretrained(tmp_path)
    opened = diffusers.DiTTransformer2DModel.from_pretrained(
        tmp_path, subfolder='unet')
    assert_close(opened.state_dict(), model.denoiser.state_dict())


# -- refusals ----------------------------------------------------------------


def test_a_missing_diffusers_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setattr(versions.importlib.util, 'find_spec',
                        lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "mmw2s\[diffusion\]"'):
        MODELS.build(diffusion())


@pytest.mark.parametrize('cfg, message', [
    (diffusion(denoiser=dict(sample_size=9)), 'multiple of 2.* 9 x 9'),
    (diffusion(denoiser=dict(sample_size=None)), 'sample_size'),
    (diffusion(denoiser=dict(out_channels=2)), 'learned variance'),
    (diffusion(denoiser=dict(num_class_embeds=5)), 'num_class_embeds is 5'),
    (diffusion(num_classes=5), 'num_classes is 5'),
    (diffusion(classes=3, class_dropout=0.1), 'one more with class_dropout'),
    (diffusion(class_dropout=0.1), 'class_dropout should be a share'),
    (diffusion(classes=3, guidance_scale=2.), 'guidance_scale needs'),
    (diffusion(kind='noise'), 'epsilon, sample, v_prediction'),
    (diffusion(sampler=dict(type='diffusers.DDIM')),
     "sampler.type .* but got 'diffusers.DDIM'"),
    (diffusion(sampler=dict(type='diffusers.FlowMatchEulerDiscreteScheduler')),
     "sampler.type .* but got 'diffusers.FlowMatch"),
    (diffusion(sampler=dict(type='diffusers.DDIMScheduler', etaa=1, eta=0.5)),
     'unknown fields eta, etaa: diffusers.DDIMScheduler is built with num_t'),
    (diffusion(sampling_steps=0), 'should be 1 to 100, .* but is 0'),
    (diffusion(sampling_steps=101), 'should be 1 to 100, .* but is 101'),
    (diffusion(min_snr_gamma=0),
     'min_snr_gamma, unless None or infinity, should be'),
    ({
        **diffusion(), 'denoiser': DIT,
        'num_classes': 4
    }, 'num_classes is 4, but denoiser.num_embeds_ada_norm is 3'),
    ({
        **diffusion(), 'denoiser': DIT
    }, 'num_classes is None, but denoiser.num_embeds_ada_norm is 3'),
    (diffusion(
        data_preprocessor=dict(
            type='ImgDataPreprocessor', mean=[127.5], std=[60.])),
     'data_preprocessor.std.*60'),
    (diffusion(data_preprocessor=dict(type='BaseDataPreprocessor')),
     'data_preprocessor.mean'),
])
def test_parts_that_do_not_fit_are_refused_when_it_is_built(cfg, message):
    with pytest.raises(ValueError, match=message):
        build(cfg)


@pytest.mark.parametrize('kind', PREDICTION_TYPES)
def test_timesteps_can_be_weighted_where_no_image_is_left(kind):
    model = build(
        diffusion(
            kind=kind,
            min_snr_gamma=5.,
            schedule=dict(rescale_betas_zero_snr=True)))
    assert model.alphas_cumprod[-1] == 0
    assert model(*batch(64), mode='loss')['loss_denoising'].isfinite()


@pytest.mark.parametrize('images', [dict(size=16), dict(channels=3)])
def test_images_that_do_not_fit_are_refused(images):
    inputs, samples = batch(**images)
    with pytest.raises(ValueError, match='1 x 8 x 8, but got'):
        build(diffusion())(inputs, samples, mode='loss')


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match='"loss", "predict" or "tensor"'):
        build(diffusion())(*batch(), mode='lose')


def test_checkpoints_hold_the_denoiser_alone():
    assert all(
        key.startswith('denoiser.') for key in build(diffusion()).state_dict())
