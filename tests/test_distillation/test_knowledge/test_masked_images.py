# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A frozen masked autoencoder teaches another one, as in SALT."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms

PAGE = Path(__file__).parents[3] / 'docs' / 'methods.md'


def autoencoder(width, blocks):
    sizes = dict(num_layers=1, num_heads=2, feedforward_channels=2 * width)
    return dict(
        type='MAE',
        data_preprocessor=dict(type='SelfSupDataPreprocessor'),
        backbone=dict(
            type='MAEViT',
            arch=dict(embed_dims=width, **sizes),
            img_size=16,
            patch_size=4),
        neck=dict(
            type='MAEPretrainDecoder',
            num_patches=16,
            patch_size=4,
            embed_dim=width,
            decoder_embed_dim=8,
            decoder_depth=blocks,
            decoder_num_heads=2,
            mlp_ratio=2.),
        head=dict(
            type='MAEPretrainHead',
            patch_size=4,
            loss=dict(type='PixelReconstructionLoss', criterion='L2')))


def of_the_page():
    text = PAGE.read_text().split('## A masked autoencoder\n')[1]
    return Config.fromstring(
        re.search(r'```python\n(.*?)```', text, re.S)[1], '.py').distill


@pytest.fixture
def distiller(tmp_path):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        student = MODELS.build(autoencoder(16, blocks=8)).train()
        weak = MODELS.build(autoencoder(8, blocks=1))
    torch.save(dict(state_dict=weak.state_dict()), tmp_path / 't.pth')
    teacher = FrozenTeacher(
        Config(
            dict(model=autoencoder(8, blocks=1), default_scope='mmpretrain')),
        str(tmp_path / 't.pth'))
    distiller = Distiller(student, teacher, build_terms(of_the_page()),
                          Constant(1.))
    distiller.inspects = True
    distiller.bind(10, 5)
    distiller.attach()
    distiller.step(0)
    return distiller


def test_the_student_predicts_the_tokens_of_the_whole_image(distiller):
    student, seen = distiller.student, []
    distiller.teacher.model.backbone.register_forward_hook(
        lambda module, args, output: seen.append(output))
    images = torch.randn(2, 3, 16, 16)
    losses = student(images, None, mode='loss')
    # A class token and all 16 patches, of which the student sees four.
    assert seen[0][0].shape == (2, 17, 8)
    with torch.no_grad():
        want = distiller.teacher.model.backbone(images, mask=None)[0]
    torch.testing.assert_close(seen[0][0], want)
    losses['loss_kd_hidden'].backward()
    assert student.backbone.patch_embed.projection.weight.grad.abs().sum() > 0
    assert student.neck.decoder_pred.weight.grad is None


def test_the_teachers_own_loss_of_pixels_is_there_to_be_surpassed(distiller):
    outputs = distiller.teacher_outputs(torch.randn(2, 3, 16, 16), None)
    assert outputs.task_losses()['loss'] > 0
