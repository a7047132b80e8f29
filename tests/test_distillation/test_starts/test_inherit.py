# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from builders import TinyModel, build, teacher_of
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier
from tiny_two_stage import faster_rcnn
from toys import retinanet

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.class_matching import OtherClasses
from mmw2s.distillation.starts import Inherit
from mmw2s.registry import STARTS

STUDENT, TEACHER = retinanet(50, channels=8), retinanet(18, channels=8)


@pytest.fixture
def inherit(tmp_path):
    """The student after the start, what it was before, and the account."""

    def run(student=STUDENT,
            teacher=TEACHER,
            other_classes=None,
            change=lambda model: None,
            build=build,
            **fields):
        frozen = teacher_of(teacher, tmp_path / 'teacher.pth') \
            if build is not build_classifier else _classifier_of(teacher)
        model = build(student)
        change(model)
        before = copy.deepcopy(model.state_dict())
        started = Inherit(**fields).apply(model, frozen, other_classes)
        after, given = model.state_dict(), frozen.model.state_dict()
        for name in after:
            expected = given if name in started.taken else before
            assert torch.equal(after[name], expected[name]), name
        return model, before, started

    return run


def _classifier_of(cfg):
    frozen = FrozenTeacher(
        dict(default_scope='mmpretrain', model=cfg), checkpoint=None)
    frozen.model.init_weights()
    return frozen


def parts(names, depth=2):
    return {'.'.join(name.split('.')[:depth]) for name in names}


def test_a_detector_takes_stem_head_and_the_equal_part_of_its_neck(inherit):
    _, _, started = inherit()
    assert parts(started.taken) == {
        'backbone.conv1', 'backbone.bn1', 'neck.fpn_convs',
        'bbox_head.cls_convs', 'bbox_head.reg_convs', 'bbox_head.retina_cls',
        'bbox_head.retina_reg'
    }
    assert parts(started.left['the teacher\'s has another shape']) == {
        'neck.lateral_convs'
    }
    assert 0 < started.share < 1


def test_equal_models_share_everything(inherit):
    _, _, started = inherit(student=TEACHER)
    assert started.share == 1 and started.left == {}


def test_no_stage_of_other_blocks_is_taken(inherit):
    _, _, started = inherit()
    stages = started.left['the stage is another']
    assert parts(stages) == {f'backbone.layer{i}' for i in range(1, 5)}


def test_a_longer_stage_is_not_taken_in_part(inherit):
    _, _, started = inherit(student=retinanet(34, channels=8))
    # ResNet-34 has more blocks in each of them than ResNet-18.
    assert not [n for n in started.taken if n.startswith('backbone.layer')]


def test_modules_that_are_named_are_taken_whatever_is_around_them(inherit):
    _, _, started = inherit(
        student=retinanet(34, channels=8), modules=['backbone.layer1'])
    assert parts(started.taken,
                 3) == {'backbone.layer1.0', 'backbone.layer1.1'}
    assert parts(started.left['the teacher has none of that name'],
                 3) == {'backbone.layer1.2'}


def test_parameters_are_changed_in_place_for_the_optimizer(inherit):
    kept = {}
    model, _, started = inherit(
        change=lambda model: kept.update(model.named_parameters()))
    for name, parameter in model.named_parameters():
        assert parameter is kept[name] and parameter.requires_grad


def test_a_backbone_with_weights_of_its_own_keeps_them(inherit):

    def pretrained(model):
        model.backbone.init_cfg = dict(type='Pretrained', checkpoint='x')

    _, _, started = inherit(change=pretrained)
    assert not [n for n in started.taken if n.startswith('backbone')]
    assert 'the backbone has weights of its own (init_cfg)' in started.left


def test_a_head_of_other_classes_gives_what_is_not_by_class(inherit):
    unknown = OtherClasses('they differ at 0')
    _, _, started = inherit(other_classes=unknown)
    by_class = started.left['the classes are others']
    assert 'bbox_head.retina_cls.weight' in by_class
    assert 'bbox_head.cls_convs.0.conv.weight' in started.taken


def test_a_head_of_more_classes_is_left_by_its_shape(inherit):
    _, _, started = inherit(teacher=retinanet(18, channels=8, num_classes=5))
    left = started.left['the teacher\'s has another shape']
    assert 'bbox_head.retina_cls.weight' in left
    assert 'bbox_head.retina_reg.weight' in started.taken


def test_a_two_stage_detector_takes_rpn_and_roi_head(inherit):
    _, _, started = inherit(student=faster_rcnn(50), teacher=faster_rcnn(18))
    assert {'rpn_head.rpn_conv', 'rpn_head.rpn_cls',
            'roi_head.bbox_head'} <= parts(started.taken)


def test_a_classifier_takes_stem_and_equal_stages(inherit):
    cfg = classifier()
    _, _, started = inherit(student=cfg, teacher=cfg, build=build_classifier)
    assert started.share == 1


def test_what_has_nothing_in_common_is_refused():
    student, teacher = TinyModel(), FrozenTeacher(
        dict(default_scope='mmdet', model=TEACHER), checkpoint=None)
    with pytest.raises(ValueError, match='can take over no weight of the '):
        Inherit().apply(student, teacher, None)


def test_a_module_that_does_not_exist_is_refused(inherit):
    with pytest.raises(ValueError, match='student.*no module "nek".*neck'):
        inherit(modules=['nek'])


@pytest.mark.parametrize('modules', ['neck', [], [3], [''], {}])
def test_other_than_a_list_of_names_is_refused(modules):
    with pytest.raises(ValueError, match='Inherit.modules should be a list'):
        STARTS.build(dict(type='Inherit', modules=modules))


def test_the_account_is_a_sentence(inherit):
    _, _, started = inherit()
    assert str(started).startswith(f'{len(started.taken)} tensors, ')
    assert 'are left: the stage is another' in str(started)


def test_a_transformer_of_more_layers_takes_what_stands_before_them():

    def vit(layers):
        arch = dict(
            embed_dims=8,
            num_layers=layers,
            num_heads=2,
            feedforward_channels=16)
        cfg = classifier(type='VisionTransformerClsHead')
        cfg['backbone'] = dict(
            type='VisionTransformer', arch=arch, img_size=16, patch_size=4)
        cfg['head'].update(in_channels=8, num_classes=3)
        cfg['neck'] = None
        return cfg

    student, teacher = build_classifier(vit(3)), _classifier_of(vit(2))
    started = Inherit().apply(student, teacher, None)
    taken = parts(started.taken)
    assert {
        'backbone.cls_token', 'backbone.pos_embed', 'backbone.patch_embed'
    } <= taken
    # The third layer is not the teacher's last one.
    assert parts(started.left['the stage is another'],
                 3) == {'backbone.layers.2'}
