# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import losses_of
from mmengine.registry import MODELS
from tiny_diffusion import batch, build, diffusion
from torch.testing import assert_close

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.knowledge import (Denoising, DenoisingFeatures,
                                          FPNFeatures, HiddenFeatures)
from mmw2s.distillation.recipes import default_distill
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms
from mmw2s.models.diffusion import convert, min_snr_weight

KD = dict(knowledge=dict(type='Denoising'), loss=dict(type='MSEKDLoss'))
FEATURES = dict(
    knowledge=dict(type='DenoisingFeatures'),
    loss=dict(type='PKDLoss', loss_weight=1.))


def distill(student, teacher, entries=(KD, ), seed=5, count=4):
    """Task losses, distillation losses, and the noise of one step."""
    frozen = FrozenTeacher(dict(model=diffusion(4)), checkpoint=None)
    frozen.model = teacher.eval()
    distiller = Distiller(student, frozen, build_terms(list(entries)),
                          Constant(1.))
    distiller.bind(10, 10)
    distiller.attach()
    distiller.step(0)
    inputs, samples = batch(count)
    torch.manual_seed(seed)
    _, losses = losses_of(student.train(), inputs, samples)
    distiller.remove()
    torch.manual_seed(seed)
    noise, t = torch.randn_like(inputs), torch.randint(100, (count, ))
    return losses, student.scheduler.add_noise(inputs, noise, t), t, samples


def test_the_teacher_sees_the_students_noisy_images():
    student, teacher = build(diffusion(12)), build(diffusion(8), 1)
    losses, noisy, t, _ = distill(student, teacher)
    expected = (student.denoise(noisy, t) -
                teacher.denoise(noisy, t)).square().mean()
    assert_close(losses['loss_kd_denoising'], expected)
    losses['loss_kd_denoising'].backward()
    assert student.denoiser.conv_in.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize('kind', ['epsilon', 'sample'])
def test_a_permuted_teacher_sees_those_of_another_image(kind, monkeypatch):
    student = build(diffusion(12))
    teacher = build(diffusion(8, kind=kind), 1)
    real = FrozenTeacher.__init__
    monkeypatch.setattr(
        FrozenTeacher, '__init__', lambda self, *args, **kwargs: real(
            self, *args, permute=True, **kwargs))
    entry = dict(
        knowledge=dict(type='Denoising', min_snr_gamma=float('inf')),
        loss=dict(type='MSEKDLoss'))
    losses, noisy, t, _ = distill(student, teacher, [entry])
    theirs, at = noisy.roll(1, 0), t.roll(1)
    with torch.no_grad():
        given = convert(
            teacher.denoise(theirs, at), theirs, student.alphas_cumprod[at],
            kind, 'epsilon')
    expected = (student.denoise(noisy, t) - given).square().mean()
    assert_close(losses['loss_kd_denoising'], expected)


def test_classes_are_handed_over_too():
    student, teacher = (
        build(diffusion(8, classes=3), seed) for seed in (0, 1))
    losses, noisy, t, samples = distill(student, teacher)
    labels = torch.cat([s.gt_label for s in samples])
    expected = (student.denoise(noisy, t, labels) -
                teacher.denoise(noisy, t, labels)).square().mean()
    assert_close(losses['loss_kd_denoising'], expected)


def test_the_teacher_is_not_told_the_labels_that_are_dropped():
    cfg = diffusion(classes=4, num_classes=3, class_dropout=0.5)
    student, teacher = build(cfg), build(cfg, 1)
    told = []
    for model in (student, teacher):
        model.denoiser.register_forward_pre_hook(
            lambda module, inputs: told.append(inputs[2]))
    distill(student, teacher, count=16)
    assert torch.equal(*told)
    assert 0 < (told[0] == 3).sum() < 16


@pytest.mark.parametrize('predicted, kind, common, gamma', [
    (('sample', 'sample'), 'auto', 'sample', None),
    (('sample', 'epsilon'), 'auto', 'epsilon', 5.),
    (('v_prediction', 'sample'), 'auto', 'epsilon', 5.),
    (('epsilon', 'v_prediction'), 'auto', 'epsilon', None),
    (('epsilon', 'epsilon'), 'v_prediction', 'v_prediction', None),
])
def test_models_that_predict_different_things_are_compared_as_one(
        predicted, kind, common, gamma):
    student = build(diffusion(12, kind=predicted[0]))
    teacher = build(diffusion(8, kind=predicted[1]), 1)
    entry = dict(KD, knowledge=dict(type='Denoising', kind=kind))
    losses, noisy, t, _ = distill(student, teacher, [entry])
    alphas = student.alphas_cumprod[t]
    a, b = (
        convert(m.denoise(noisy, t), noisy, alphas, m.prediction_type, common)
        for m in (student, teacher))
    error = (a - b).square()
    if gamma is not None:  # or the least noisy images outweigh all others
        error = error * min_snr_weight(alphas, gamma, common)
    assert_close(losses['loss_kd_denoising'], error.mean())


def test_timesteps_can_be_all_alike_where_only_one_predicts_the_image():
    student = build(diffusion(12, kind='sample'))
    teacher = build(diffusion(8), 1)
    entry = dict(
        KD, knowledge=dict(type='Denoising', min_snr_gamma=float('inf')))
    losses, noisy, t, _ = distill(student, teacher, [entry])
    alphas = student.alphas_cumprod[t]
    found = convert(
        student.denoise(noisy, t), noisy, alphas, 'sample', 'epsilon')
    assert_close(losses['loss_kd_denoising'],
                 (found - teacher.denoise(noisy, t)).square().mean())


def test_timesteps_are_weighted_where_asked():
    student, teacher = build(diffusion(12)), build(diffusion(8), 1)
    entry = dict(KD, knowledge=dict(type='Denoising', min_snr_gamma=5.))
    losses, noisy, t, _ = distill(student, teacher, [entry])
    weight = min_snr_weight(student.alphas_cumprod[t], 5., 'epsilon')
    error = (student.denoise(noisy, t) - teacher.denoise(noisy, t)).square()
    assert_close(losses['loss_kd_denoising'], (weight * error).mean())
    assert weight.min() < 1


@pytest.mark.parametrize('entries', [(FEATURES, ), (KD, FEATURES),
                                     (FEATURES, KD)])
def test_features_are_those_of_the_same_noisy_images(entries):
    # Of the same weights, maps differ only where the noise does.
    student, teacher = (build(diffusion(8)) for _ in range(2))
    losses = distill(student, teacher, entries)[0]
    for loss in losses.values():
        assert_close(loss, torch.tensor(0.), atol=1e-5, rtol=0)
    other = distill(student, build(diffusion(8), 1), entries)[0]
    assert other['loss_kd_denoising_features'] > 1e-2


def test_features_of_other_channels_can_have_a_trained_adapter():
    knowledge = dict(type='DenoisingFeatures', adapter='trained')
    student, teacher = build(diffusion(12)), build(diffusion(8), 1)
    fixed = distill(student, teacher, [FEATURES])[0]
    trained = distill(student, teacher,
                      [dict(FEATURES, knowledge=knowledge)])[0]
    assert trained != fixed
    trained['loss_kd_denoising_features'].backward()
    assert student.denoiser.conv_in.weight.grad.abs().sum() > 0


def test_the_teachers_denoiser_runs_once_and_no_deeper_than_needed(
        monkeypatch):
    student, teacher = build(diffusion(8)), build(diffusion(8), 1)
    called = []
    for name in ('mid_block', 'up_blocks.0', 'conv_out'):
        teacher.denoiser.get_submodule(name).register_forward_hook(
            lambda *_, name=name: called.append(name))
    distill(student, teacher, [FEATURES])
    assert called == ['mid_block']
    distill(student, teacher, [FEATURES, KD])
    assert called[1:] == ['mid_block', 'up_blocks.0', 'conv_out']


def test_no_random_number_is_drawn(monkeypatch):
    states = []
    join = Distiller._after_forward

    def watched(*args):
        states.append(torch.get_rng_state())
        found = join(*args)
        states.append(torch.get_rng_state())
        return found

    monkeypatch.setattr(Distiller, '_after_forward', watched)
    distill(build(diffusion(8)), build(diffusion(8), 1), [KD, FEATURES])
    assert torch.equal(*states)


def test_it_is_the_default_of_diffusion_models():
    student = build(diffusion())
    entry, = default_distill(student, student)
    assert entry['knowledge'] == dict(type='Denoising')
    assert MODELS.get(entry['loss']['type']).__name__ == 'MSEKDLoss'


# -- refusals ----------------------------------------------------------------


@pytest.mark.parametrize('knowledge', [Denoising, DenoisingFeatures])
@pytest.mark.parametrize('teacher, message', [
    (diffusion(denoiser=dict(sample_size=16)), r'\(1, 16, 16\) images'),
    (diffusion(denoiser=dict(in_channels=3, out_channels=3)),
     r'\(3, 8, 8\) images'),
    (diffusion(classes=3), 'has 3 classes, the student None'),
    (diffusion(schedule=dict(num_train_timesteps=50)), '50 timesteps'),
    (diffusion(schedule=dict(beta_schedule='squaredcos_cap_v2')),
     'another noise schedule'),
    (diffusion(
        denoiser=dict(),
        data_preprocessor=dict(
            type='ImgDataPreprocessor',
            mean=[127.5],
            std=[127.5],
            bgr_to_rgb=True)), 'red and blue'),
])
def test_a_teacher_that_sees_other_noisy_images_is_refused(
        knowledge, teacher, message):
    with pytest.raises(ValueError, match=message):
        knowledge().check(build(diffusion()), build(teacher))


def test_other_models_are_refused():
    model = build(diffusion())
    other = torch.nn.Module()
    other.denoiser = model.denoiser
    with pytest.raises(ValueError, match='teacher is a Module, not a Denois'):
        Denoising().check(model, other)
    with pytest.raises(ValueError, match='no module "unet"'):
        Denoising(module='unet').check(model, model)


def test_a_teacher_that_knows_no_image_without_a_label_is_refused():
    student = build(diffusion(classes=4, num_classes=3, class_dropout=0.5))
    with pytest.raises(ValueError, match='Use a teacher with a class_dropout'):
        Denoising().check(student, build(diffusion(classes=3)))


@pytest.mark.parametrize('knowledge', [FPNFeatures, HiddenFeatures])
def test_features_of_other_noise_are_refused(knowledge):
    model = build(diffusion())
    for module in ('neck', 'denoiser.mid_block'):
        with pytest.raises(ValueError, match='use DenoisingFeatures'):
            knowledge(module).check(model, model)


def test_an_unknown_kind_is_refused():
    with pytest.raises(
            ValueError, match="'auto', 'epsilon', 'sample', 'v_pred"):
        Denoising(kind='noise')
