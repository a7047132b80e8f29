# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from builders import TinyModel, build, teacher_of
from tiny_classifiers import VIT
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier
from tiny_classifiers import teacher_of as classifier_teacher
from toys import retinanet

from mmw2s.distillation.class_matching import OtherClasses
from mmw2s.distillation.starts import Corner


def vit(layers=2, dims=16, classes=3):
    arch = dict(
        embed_dims=dims,
        num_layers=layers,
        num_heads=2,
        feedforward_channels=2 * dims)
    cfg = classifier(backbone=dict(VIT, arch=arch), neck=None)
    cfg['head'] = dict(
        type='VisionTransformerClsHead', num_classes=classes, in_channels=dims)
    return cfg


@pytest.fixture
def corner(tmp_path):
    """The student after the start and before it, the teacher, the account."""

    def run(student, teacher, other_classes=None, change=lambda model: None):
        if student['type'] == 'ImageClassifier':
            frozen = classifier_teacher(teacher, tmp_path / 'teacher.pth')
            model = build_classifier(student)
        else:
            frozen = teacher_of(teacher, tmp_path / 'teacher.pth')
            model = build(student)
        change(model)
        before = copy.deepcopy(model.state_dict())
        started = Corner().apply(model, frozen, other_classes)
        after = model.state_dict()
        for names in started.left.values():
            assert all(torch.equal(after[n], before[n]) for n in names)
        given, told = frozen.model.state_dict(), (started.left,
                                                  started.adapted)
        assert {
            *started.taken, *sum(
                (names for one in told for names in one.values()), [])
        } == set(after)
        return after, before, given, started

    return run


def assert_corner(after, before, given):
    """``given`` are the first entries, the others are as they were."""
    place = tuple(slice(n) for n in given.shape)
    expected = before.clone()
    expected[place] = given
    assert torch.equal(after, expected)
    assert not torch.equal(after, before)


def test_a_wider_tensor_takes_the_teachers_as_its_corner(corner):
    after, before, given, started = corner(vit(dims=24), vit(dims=16))
    for name in ('backbone.patch_embed.projection.weight',
                 'backbone.layers.1.attn.proj.weight',
                 'backbone.layers.0.ffn.layers.0.0.weight',
                 'head.layers.head.weight'):
        assert_corner(after[name], before[name], given[name])
    assert started.left == {}
    assert 'backbone.patch_embed.projection.weight' in \
        started.adapted['in their corner']
    # Of the numbers, not of the tensors.
    assert 0.3 < started.share < 0.7


@pytest.mark.parametrize('layers, sources', [(4, (0, 0, 1, 1)), (3, (0, 0, 1)),
                                             (2, (0, 1))])
def test_deeper_students_take_each_block_several_times(corner, layers,
                                                       sources):
    after, _, given, started = corner(vit(layers), vit(2))
    for block, source in enumerate(sources):
        for name in ('attn.qkv.weight', 'ln1.weight'):
            assert torch.equal(after[f'backbone.layers.{block}.{name}'],
                               given[f'backbone.layers.{source}.{name}'])
    assert started.share == 1


def test_wider_and_deeper_at_once(corner):
    after, before, given, _ = corner(vit(4, 24), vit(2, 16))
    assert_corner(after['backbone.layers.3.attn.proj.weight'],
                  before['backbone.layers.3.attn.proj.weight'],
                  given['backbone.layers.1.attn.proj.weight'])


def test_running_statistics_are_taken_too(tmp_path):
    student = retinanet(18, channels=8)
    student['backbone'].update(base_channels=16, stem_channels=16)
    student['neck']['in_channels'] = [16, 32, 64, 128]
    model = build(student)
    teacher = teacher_of(retinanet(18, channels=8), tmp_path / 'teacher.pth')
    teacher.model.backbone.layer1[0].bn1.running_var.fill_(3.)
    Corner().apply(model, teacher, None)
    assert model.backbone.layer1[0].bn1.running_var.tolist() == \
        [3.] * 8 + [1.] * 8


def test_blocks_of_another_class_are_left(corner):
    _, _, _, started = corner(
        retinanet(50, channels=8), retinanet(18, channels=8))
    left = started.left[
        'the student has a Bottleneck here, the teacher a BasicBlock']
    assert 'backbone.layer1.0.conv2.weight' in left
    assert 'bbox_head.retina_cls.weight' in started.taken


def test_what_is_larger_in_the_teacher_is_left(corner):
    _, _, _, started = corner(vit(dims=24), vit(dims=48))
    assert 'backbone.cls_token' in started.left['the teacher\'s is larger']
    assert started.taken == ['head.layers.head.bias']


def test_a_kernel_of_another_size_is_left(corner):
    student = retinanet(18, channels=8)
    student['backbone']['deep_stem'] = True
    other = retinanet(18, channels=8)
    _, _, _, started = corner(student, other)
    assert 'backbone.stem.0.weight' in started.left[
        'the teacher has none of that name']
    cifar, imagenet = classifier(), classifier()
    imagenet['backbone'] = dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4)
    cifar['backbone'] = dict(imagenet['backbone'], deep_stem=False)

    def larger(model):
        model.backbone.conv1 = torch.nn.Conv2d(3, 4, 9, bias=False)

    _, _, _, started = corner(cifar, imagenet, change=larger)
    assert started.left['its kernel has another size'] == [
        'backbone.conv1.weight'
    ]


@pytest.mark.parametrize('classes, other', [(3, OtherClasses('they differ')),
                                            (5, None)])
def test_what_depends_on_other_classes_is_left(corner, classes, other):
    _, _, _, started = corner(vit(classes=classes), vit(), other)
    assert started.left['the classes are others'] == [
        'head.layers.head.weight', 'head.layers.head.bias'
    ]


def test_a_stem_for_other_pixels_is_left(corner):
    other = retinanet(18, channels=8)
    other['data_preprocessor'].update(mean=[1., 2., 3.], std=[4., 5., 6.])
    _, _, _, started = corner(retinanet(18, channels=8), other)
    left = started.left['the two normalize images differently']
    assert {n.split('.')[1] for n in left} == {'conv1', 'bn1'}


def test_a_backbone_with_weights_of_its_own_keeps_them(corner):

    def pretrained(model):
        model.backbone.init_cfg = dict(type='Pretrained', checkpoint='x')

    cfg = retinanet(18, channels=8)
    _, _, _, started = corner(cfg, cfg, change=pretrained)
    assert 'the backbone has weights of its own (init_cfg)' in started.left
    assert not [n for n in started.taken if n.startswith('backbone')]
    assert 'neck.lateral_convs.0.conv.weight' in started.taken


def test_what_has_nothing_in_common_is_refused(tmp_path):
    teacher = teacher_of(retinanet(18, channels=8), tmp_path / 'teacher.pth')
    with pytest.raises(
            ValueError,
            match='start=Corner: .* no weight .*none of that name.*family'):
        Corner().apply(TinyModel(), teacher, None)
