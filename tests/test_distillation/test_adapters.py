# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch

from mmw2s.distillation import FrozenTeacher

pytest.importorskip('mmpretrain')

from mmengine.registry import MODELS, DefaultScope  # noqa: E402

VIT = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8),
    img_size=8,
    patch_size=4)
HEAD = dict(type='VisionTransformerClsHead', num_classes=3, in_channels=8)


def lora(part):
    return dict(
        type='LoRAModel',
        module=part,
        alpha=4,
        rank=2,
        targets=[dict(type='qkv')])


def built(cfg, seed):
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(copy.deepcopy(cfg))
    for value in model.parameters():
        torch.nn.init.normal_(value)
    return model


def classifier(backbone):
    return dict(type='ImageClassifier', backbone=backbone, head=HEAD)


@pytest.fixture
def base(tmp_path):
    """A whole model, and the init_cfg of a part of it."""
    model = built(classifier(VIT), 1)
    path = str(tmp_path / 'base.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    return model, dict(type='Pretrained', checkpoint=path)


def teacher(cfg, path):
    return FrozenTeacher(dict(model=cfg, default_scope='mmpretrain'), path)


def tuned(cfg, path):
    """Save what MMEngine saves of a model tuned by LoRA."""
    model = built(cfg, 2)
    torch.save(dict(state_dict=model.state_dict()), path)
    return {n: p.detach() for n, p in model.named_parameters()}, str(path)


def test_a_tuned_backbone_gets_its_frozen_weights_from_its_init_cfg(
        base, tmp_path):
    whole, init = base
    part = dict(VIT, init_cfg=dict(init, prefix='backbone.'))
    weights, path = tuned(classifier(lora(part)), tmp_path / 'lora.pth')
    assert 'backbone.module.cls_token' not in torch.load(path)['state_dict']
    found = dict(
        teacher(classifier(lora(part)), path).model.named_parameters())
    assert set(found) == set(weights)
    for name, value in found.items():
        plain = name.replace('.module.', '.').replace('.original_layer.', '.')
        expected = weights[name] if '.lora_' in name or \
            name.startswith('head.') else whole.state_dict()[plain]
        assert torch.equal(value, expected), name


def test_a_tuned_model_whose_head_is_in_no_file_is_refused(base, tmp_path):
    part = dict(VIT, init_cfg=dict(base[1], prefix='backbone.'))
    _, path = tuned(lora(classifier(part)), tmp_path / 'lora.pth')
    with pytest.raises(ValueError) as error:
        teacher(lora(classifier(part)), path)
    assert 'lacks module.head.' in str(error.value)
    assert 'tuned by LoRA, and its checkpoint holds the adapters alone' in \
        str(error.value)


def test_a_tuned_model_is_loaded_from_the_init_cfg_of_the_whole(
        base, tmp_path):
    cfg = lora(dict(classifier(VIT), init_cfg=base[1]))
    weights, path = tuned(cfg, tmp_path / 'lora.pth')
    found = dict(teacher(cfg, path).model.named_parameters())
    key = 'module.backbone.layers.0.attn.qkv.lora_down.weight'
    assert torch.equal(found[key], weights[key])
    assert torch.equal(found['module.head.layers.head.weight'],
                       base[0].state_dict()['head.layers.head.weight'])


def test_a_file_of_all_weights_needs_no_base(tmp_path):
    part = dict(VIT, init_cfg=dict(type='Pretrained', checkpoint='gone.pth'))
    plain = classifier(lora(VIT))
    model = built(plain, 2)
    weights = {n: p.detach() for n, p in model.named_parameters()}
    torch.save(weights, tmp_path / 'all.pth')
    found = teacher(classifier(lora(part)), str(tmp_path / 'all.pth'))
    assert all(
        torch.equal(value, weights[name])
        for name, value in found.model.named_parameters())


def test_a_base_that_is_gone_is_named(base, tmp_path):
    part = dict(VIT, init_cfg=base[1])
    _, path = tuned(classifier(lora(part)), tmp_path / 'lora.pth')
    part['init_cfg']['checkpoint'] = str(tmp_path / 'gone.pth')
    with pytest.raises(
            ValueError,
            match='frozen weights, which the init_cfg '
            'of backbone.module loads: .*gone.pth'):
        teacher(classifier(lora(part)), path)
