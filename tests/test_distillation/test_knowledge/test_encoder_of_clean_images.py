# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A classifier teaches features to a diffusion model, as in REPA."""
import numpy as np
import torch
from tiny_classifiers import classifier, teacher_of
from tiny_diffusion import batch, build, diffusion

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.recipes import why_incomparable
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms

COLOUR = diffusion(
    denoiser=dict(in_channels=3, out_channels=3, sample_size=16))
REPA = dict(
    knowledge=dict(
        type='HiddenFeatures',
        module='denoiser.mid_block',
        teacher_module='backbone.layer2',
        levels=[0],
        adapter='mlp'),
    loss=dict(type='CosineKDLoss', loss_weight=0.5))


def test_the_denoiser_learns_the_encoders_features_of_the_clean_images(
        tmp_path):
    student = build(COLOUR).train()
    teacher = teacher_of(classifier(), tmp_path / 't.pth')
    distiller = Distiller(student, teacher, build_terms([REPA]), Constant(1.))
    distiller.bind(10, 5)
    distiller.attach()
    distiller.step(0)
    seen, pairs = {}, []
    for name, module in (('shown', teacher.model.backbone.conv1),
                         ('middle', student.denoiser.mid_block),
                         ('encoded', teacher.model.backbone.layer2)):
        module.register_forward_hook(
            lambda module, args, out, name=name: seen.update(
                {name: args[0] if name == 'shown' else out}),
            prepend=True)
    knowledge = distiller.terms[0].knowledge
    given = knowledge.pairs
    knowledge.pairs = lambda *args: pairs.extend(given(*args)) or pairs
    images, samples = batch(channels=3, size=16)
    found = student(images, samples, mode='loss')['loss_kd_hidden']
    # The classifier takes pixels of 0 to 255 by mean 120 and std 60.
    torch.testing.assert_close(
        seen['shown'], (127.5 * (images + 1) - 120) / 60, rtol=1e-4, atol=1e-4)
    x = seen['middle'].detach().double().numpy()
    for i, weight in enumerate(pairs[0].adapter.weights):
        matrix = weight.detach().double().numpy()[:, :, 0, 0]
        x = np.einsum('dc,bchw->bdhw', matrix, np.maximum(x, 0) if i else x)
    y = seen['encoded'].double().numpy()
    cosine = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
    np.testing.assert_allclose(
        found.item(), 0.5 * (1 - cosine.mean()), rtol=1e-3)
    found.backward()
    assert student.denoiser.conv_in.weight.grad.abs().sum() > 0
    assert student.denoiser.conv_out.weight.grad is None


def test_an_encoder_is_not_scored_as_a_diffusion_model(tmp_path):
    teacher = teacher_of(classifier(), tmp_path / 't.pth').model
    assert 'is no diffusion model' in why_incomparable(build(COLOUR), teacher)
