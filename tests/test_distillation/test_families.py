# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Families whose own code makes their checkpoints look incomplete.

``python tests/every_teacher.py mmdet`` tries all.
"""
import copy

import pytest
import torch
from every_teacher import scatter, train_a_step
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, DefaultScope

from mmw2s.distillation import FrozenTeacher

SWIN = dict(
    type='SwinTransformerV2',
    arch=dict(
        embed_dims=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        extra_norm_every_n_blocks=0),
    img_size=64,
    window_size=2)
EVA = dict(
    type='ViTEVA02',
    arch=dict(
        embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16),
    img_size=32,
    patch_size=8)


def classifier(backbone):
    return dict(type='ImageClassifier', backbone=backbone)


def built(model, package):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(package):
        model = MODELS.build(copy.deepcopy(model))
    scatter(model)
    return model


def reloaded(model, package, weights, path):
    torch.save(dict(state_dict=weights), path)
    teacher = FrozenTeacher(
        dict(model=model, default_scope=package), str(path))
    return teacher.model.state_dict()


@pytest.mark.parametrize('backbone', [SWIN, EVA])
def test_a_classifiers_checkpoint_gives_it_all_of_its_weights(
        tmp_path, backbone):
    pytest.importorskip('mmpretrain')
    model = classifier(backbone)
    weights = built(model, 'mmpretrain').state_dict()
    found = reloaded(model, 'mmpretrain', weights, tmp_path / 'a.pth')
    assert all(torch.equal(found[key], weights[key]) for key in weights)


@pytest.mark.parametrize('backbone, other, follows', [
    (SWIN, dict(window_size=4), 'relative'),
    (EVA, dict(img_size=64), 'freqs_'),
])
def test_a_classifier_is_loaded_at_another_image_size(tmp_path, backbone,
                                                      other, follows):
    pytest.importorskip('mmpretrain')
    weights = built(classifier(backbone), 'mmpretrain').state_dict()
    larger = classifier(dict(backbone, **other))
    found = reloaded(larger, 'mmpretrain', weights, tmp_path / 'a.pth')
    expected = built(larger, 'mmpretrain').state_dict()
    assert any(follows in key for key in weights)
    for key in weights:
        if follows in key:
            assert torch.equal(found[key], expected[key])
        elif 'pos_embed' not in key:  # which the model resizes
            assert torch.equal(found[key], weights[key])


@pytest.mark.slow
def test_ddq_detr_is_loaded_with_the_second_name_that_training_gives(tmp_path):
    cfg = get_config('mmdet::ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py')
    cfg.merge_from_dict({
        'model.backbone.init_cfg': None,
        'model.num_queries': 30,
        'model.dense_topk_ratio': 1.5,
        'model.encoder.num_layers': 1
    })
    model = Config(dict(model=cfg.model)).model
    trained = built(model, 'mmdet')
    before = set(trained.state_dict())
    train_a_step(trained, 'mmdet')
    weights = trained.state_dict()
    assert set(weights) > before  # a second name
    found = reloaded(model, 'mmdet', weights, tmp_path / 'a.pth')
    assert set(found) == before
    assert all(torch.equal(found[key], weights[key]) for key in found)
