# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A stem that gives for the student's pixels what it gave for others."""
import copy
from types import SimpleNamespace

import pytest
import torch
from builders import build
from tiny_classifiers import DEIT, VIT
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier
from torch import nn
from toys import retinanet

from mmw2s.distillation.pipelines import Pipelines
from mmw2s.distillation.starts import Inherit
from mmw2s.distillation.starts.stem import stages_of, stem_in

# Of images from -128 to 127, and from 0 to 1.
BGR = dict(mean=[128.] * 3, std=[1.] * 3, bgr_to_rgb=False)
UNIT = dict(mean=[0.] * 3, std=[255.] * 3, bgr_to_rgb=True)
# mmdet's caffe style, of the same means.
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.] * 3, bgr_to_rgb=False)
LEFT = 'the two normalize images differently'


def detector(preprocessor={}, seed=0, **backbone):
    cfg = retinanet(18, channels=8)
    cfg['data_preprocessor'].update(preprocessor)
    cfg['backbone'].update(backbone)
    model = build(cfg, seed).eval()
    for name, buffer in model.named_buffers():  # as those of a trained one
        if 'running' in name:
            nn.init.uniform_(buffer, 0.5, 2.)
    return model


def vit(mean, std, seed=0, backbone=VIT):
    cfg = classifier(
        type='VisionTransformerClsHead',
        data_preprocessor=dict(mean=mean, std=std),
        backbone=backbone,
        neck=None)
    cfg['head'].update(in_channels=16)
    return build_classifier(cfg, seed).eval()


def start(student, model, **fields):
    teacher = SimpleNamespace(
        model=model, name='t', classes=None, pipelines=Pipelines())
    return Inherit(**fields).apply(student, teacher, None)


def seen(model, size=64):
    """A raw image as the model's own preprocessor makes it."""
    image = torch.randint(
        0,
        256, (3, size, size),
        generator=torch.Generator().manual_seed(0),
        dtype=torch.uint8)
    return model.data_preprocessor(dict(inputs=[image]), False)['inputs']


def stem(model):
    backbone = model.backbone
    return backbone.norm1(backbone.conv1(seen(model)))


@pytest.mark.parametrize('preprocessor', [BGR, UNIT])
def test_inside_the_border_a_stem_gives_the_same_for_other_pixels(
        preprocessor):
    student, teacher = detector(), detector(preprocessor, 1)
    started = start(student, teacher)
    own, given = stem(student), stem(teacher)
    # Two pixels of a 7x7 convolution of stride 2 see the border.
    inside = (..., slice(2, -2), slice(2, -2))
    assert torch.allclose(own[inside], given[inside], atol=1e-4)
    assert not torch.allclose(own, given, atol=1e-2)
    how, = started.adapted
    assert 'student\'s normalization (exact but at the borders' in how
    assert started.adapted[how] == [
        'backbone.conv1.weight', 'backbone.bn1.running_mean'
    ]
    assert 'backbone.bn1.weight' in started.taken


def test_equal_means_are_exact_at_the_border_too():
    student, teacher = detector(), detector(CAFFE, 1)
    started = start(student, teacher)
    assert torch.allclose(stem(student), stem(teacher), atol=1e-3)
    scale = torch.tensor([58.395, 57.12, 57.375]).reshape(1, 3, 1, 1)
    assert torch.allclose(student.backbone.conv1.weight,
                          teacher.backbone.conv1.weight.flip(1) * scale)
    assert list(started.adapted.values()) == [['backbone.conv1.weight']]
    assert 'border' not in str(started)


def test_in_training_the_batch_takes_the_constant_out():
    student, teacher = detector().train(), detector(BGR, 1).train()
    start(student, teacher)
    inside = (..., slice(2, -2), slice(2, -2))
    own, given = (
        m.backbone.conv1(seen(m))[inside] for m in (student, teacher))
    own, given = (x - x.mean((0, 2, 3), keepdim=True) for x in (own, given))
    assert torch.allclose(own, given, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize('backbone', [VIT, DEIT])
def test_patches_of_a_transformer_are_exact(backbone):
    student = vit([123.] * 3, [58.] * 3, backbone=backbone)
    teacher = vit([0.] * 3, [255., 200., 100.], 1, backbone)
    nn.init.normal_(teacher.backbone.patch_embed.projection.bias)
    started = start(student, teacher)
    own, given = (
        m.backbone.patch_embed(seen(m, 16))[0] for m in (student, teacher))
    assert torch.allclose(own, given, atol=1e-5)
    assert [n for names in started.adapted.values() for n in names] == [
        'backbone.patch_embed.projection.weight',
        'backbone.patch_embed.projection.bias'
    ]
    assert 'border' not in str(started)


def test_a_norm_that_does_not_take_the_constant_leaves_the_stem():
    norm = dict(norm_cfg=dict(type='GN', num_groups=2))
    started = start(detector(**norm), detector(UNIT, 1, **norm))
    assert 'backbone.conv1.weight' in started.left[LEFT]
    assert not [n for n in started.taken if n.startswith('backbone.conv1')]
    # Without a constant it is no matter.
    started = start(detector(**norm), detector(CAFFE, 1, **norm))
    assert LEFT not in started.left


def test_a_preprocessor_that_does_more_leaves_the_stem():

    class Squared(type(detector().data_preprocessor)):

        def forward(self, data, training=False):
            data = super().forward(data, training)
            return dict(data, inputs=data['inputs']**2)

    student, teacher = detector(), detector(seed=1)
    teacher.data_preprocessor = Squared()
    before = copy.deepcopy(student.backbone.state_dict())
    started = start(student, teacher)
    assert 'backbone.conv1.weight' in started.left[LEFT]
    assert torch.equal(student.backbone.conv1.weight, before['conv1.weight'])


def test_a_convolution_that_changes_its_weights_is_not_folded():
    conv = dict(conv_cfg=dict(type='ConvWS'))
    started = start(detector(**conv), detector(UNIT, 1, **conv))
    assert 'backbone.conv1.weight' in started.left[LEFT]


def test_a_stem_that_is_named_is_fitted_too():
    student, teacher = detector(), detector(BGR, 1)
    start(student, teacher, modules=['backbone'])
    own, given = stem(student), stem(teacher)
    inside = (..., slice(2, -2), slice(2, -2))
    assert torch.allclose(own[inside], given[inside], atol=1e-4)
    student, before = detector(), detector()
    start(student, teacher, modules=['neck'])
    assert torch.equal(student.backbone.conv1.weight,
                       before.backbone.conv1.weight)


def test_stages_inside_another_model_are_stages_too():
    # As mmpretrain's TIMMBackbone has them.
    inner = nn.ModuleDict(
        dict(
            conv1=nn.Conv2d(3, 8, 3),
            layer1=nn.ModuleDict({'0': nn.ModuleDict({'stage1': nn.ReLU()})}),
            layer2=nn.Conv2d(8, 8, 3)))
    student = nn.ModuleDict(
        dict(backbone=nn.ModuleDict(dict(timm_model=inner))))
    student.backbone = student['backbone']
    assert stages_of(student) == [
        'backbone.timm_model.layer1', 'backbone.timm_model.layer2'
    ]
    names = [name for name, _ in student.named_parameters()]
    assert stem_in(names, student) == [
        'backbone.timm_model.conv1.weight', 'backbone.timm_model.conv1.bias'
    ]
