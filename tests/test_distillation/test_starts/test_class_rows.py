# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A head of other classes takes the rows of those that both know."""
import copy
from types import SimpleNamespace

import pytest
import torch
from builders import batch, build
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier
from tiny_heads import ATSS, FCOS, RETINA, SOFTMAX
from tiny_two_stage import faster_rcnn, mask_rcnn
from torch import nn

from mmw2s.distillation.class_matching import other_classes
from mmw2s.distillation.knowledge import ClassLogits
from mmw2s.distillation.pipelines import Pipelines
from mmw2s.distillation.starts import Inherit
from mmw2s.distillation.starts.class_rows import is_by_class

# The student's class 0 is the teacher's 2, its 2 the teacher's 0.
OWN, GIVEN = ('dog', 'elk', 'cat', 'owl'), ('Cat', 'bee', 'dog')
COLUMNS = (2, None, 0, None)


def detector(cfg, classes, build=build, seed=0):
    cfg = copy.deepcopy(cfg)
    heads = [cfg['bbox_head']] if 'bbox_head' in cfg else [
        head for key, head in cfg['roi_head'].items()
        if key in ('bbox_head', 'mask_head')
    ]
    for head in heads:
        head['num_classes'] = len(classes)
    model = build(cfg, seed).eval()
    for parameter in model.parameters():  # some begin at 0
        nn.init.normal_(parameter, std=0.1)
    return model


def inherited(cfg, own=OWN, given=GIVEN, build=build, make=detector):
    """Student and teacher after the start, and the account."""
    student, model = (make(cfg, classes, build, seed)
                      for seed, classes in enumerate((own, given)))
    teacher = SimpleNamespace(
        model=model, name='t', classes=given, pipelines=Pipelines())
    before = copy.deepcopy(student.state_dict())
    started = Inherit().apply(student, teacher, other_classes(teacher, own))
    return student, model, before, started


def by_class(scores, classes, background=0):
    """Scores (B, A * C, H, W) of all anchors as (B * N, C)."""
    return scores.permute(0, 2, 3, 1).reshape(-1, len(classes) + background)


@pytest.mark.parametrize('cfg, background', [(RETINA, 0), (SOFTMAX, 1),
                                             (FCOS, 0), (ATSS, 0)])
def test_a_dense_head_scores_the_shared_classes_as_the_teacher_does(
        cfg, background):
    student, teacher, _, started = inherited(cfg)
    inputs = batch()[0]
    scores = [
        by_class(
            model.bbox_head(model.extract_feat(inputs))[0][0], classes,
            background)
        for model, classes in ((student, OWN), (teacher, GIVEN))
    ]
    for i, column in enumerate(COLUMNS):
        same = torch.allclose(scores[0][:, i], scores[1][:, column or 0])
        assert same == (column is not None), i
    if background:
        assert torch.allclose(scores[0][:, -1], scores[1][:, -1])
    assert started.rows > 0 and started.share < 1


def test_other_classes_keep_their_own_initialization():
    student, teacher, before, started = inherited(RETINA)
    for name in ('weight', 'bias'):
        after, own = (
            weights[f'bbox_head.retina_cls.{name}'].unflatten(0, (3, 4))
            for weights in (student.state_dict(), before))
        given = teacher.state_dict()[f'bbox_head.retina_cls.{name}'].unflatten(
            0, (3, 3))
        assert torch.equal(after[:, [1, 3]], own[:, [1, 3]])
        assert torch.equal(after[:, [0, 2]], given[:, [2, 0]])
    assert started.rows == 2 * 3 * 2  # weight and bias
    assert '2 of them in 12 rows of the 2 classes' in str(started)
    assert not [n for n in started.taken if 'retina_cls' in n]
    assert 'bbox_head.retina_reg.weight' in started.taken


def test_the_share_counts_rows_and_not_whole_tensors():
    student, _, _, started = inherited(RETINA)
    own = student.bbox_head.retina_cls
    kept = sum(p.numel() for p in own.parameters()) / 2
    total = sum(p.numel() for p in student.parameters())
    assert started.share == pytest.approx(1 - kept / total)


def test_classes_in_another_order_are_all_taken():
    student, teacher, _, started = inherited(RETINA, ('a', 'b', 'c', 'd'),
                                             ('d', 'c', 'b', 'a'))
    after, given = (
        model.bbox_head.retina_cls.weight.unflatten(0, (3, 4))
        for model in (student, teacher))
    assert torch.equal(after, given.flip(1)) and started.share == 1
    # 4 classes make as many rows as boxes: these are not to be reordered.
    assert not torch.equal(student.bbox_head.retina_reg.weight,
                           teacher.bbox_head.retina_reg.weight.flip(0))


@pytest.mark.parametrize('agnostic', [False, True])
def test_a_roi_head_takes_scores_boxes_and_background(agnostic):
    student, teacher, before, _ = inherited(
        faster_rcnn(18, reg_class_agnostic=agnostic))
    features = torch.randn(5, 8, 3, 3)
    own, given = (
        model.roi_head.bbox_head(features) for model in (student, teacher))
    for i, column in ((0, 2), (2, 0), (-1, -1)):
        assert torch.allclose(own[0][:, i], given[0][:, column])
    assert not torch.allclose(own[0][:, 1], given[0][:, 1])
    if agnostic:
        assert torch.equal(own[1], given[1])
        return
    boxes = own[1].unflatten(1, (4, 4)), given[1].unflatten(1, (3, 4))
    assert torch.allclose(boxes[0][:, [0, 2]], boxes[1][:, [2, 0]])
    name = 'roi_head.bbox_head.fc_reg.bias'
    assert torch.equal(student.state_dict()[name][4:8], before[name][4:8])


def test_the_masks_of_the_shared_classes_are_taken():
    student, teacher, *_ = inherited(mask_rcnn(18))
    features = torch.randn(2, 8, 2, 2)
    own, given = (
        model.roi_head.mask_head(features) for model in (student, teacher))
    assert torch.allclose(own[:, [0, 2]], given[:, [2, 0]])
    assert not torch.allclose(own[:, 1], given[:, 1])


def test_a_classifier_scores_the_shared_classes_as_the_teacher_does():

    def make(cfg, classes, build, seed):
        cfg = copy.deepcopy(cfg)
        cfg['head']['num_classes'] = len(classes)
        return build(cfg, seed).eval()

    student, teacher, *_ = inherited(
        classifier(), build=build_classifier, make=make)
    inputs = torch.randn(3, 3, 16, 16)
    own, given = student(inputs), teacher(inputs)
    assert torch.allclose(own[:, [0, 2]], given[:, [2, 0]])
    assert not torch.allclose(own[:, 1], given[:, 1])


def test_rows_are_found_where_the_logits_of_some_classes_are_taken():
    own = ('dog', 'cat')
    student, model = (build_classifier(
        dict(
            classifier(),
            head=dict(classifier()['head'], num_classes=len(classes))),
        seed).eval() for seed, classes in enumerate((own, GIVEN)))
    teacher = SimpleNamespace(
        model=model,
        name='t',
        classes=GIVEN,
        device='cpu',
        pipelines=Pipelines())
    other = other_classes(teacher, own)
    ClassLogits().match_classes(teacher, own)
    Inherit().apply(student, teacher, other)
    inputs = torch.randn(3, 3, 16, 16)
    assert torch.allclose(student(inputs), model(inputs))


def test_a_name_that_fits_several_classes_is_taken_for_none():
    teacher = SimpleNamespace(classes=('crane', 'cat', 'crane', 'dog'))
    found = other_classes(teacher, ('crane', 'dog', 'cat', 'Cat'))
    assert found.columns == (None, 3, None, None)
    assert found.shared == 1 and found.given == 4
    assert "differ at 1: 'cat' against 'dog'" in str(found)


def test_without_a_shared_class_the_scores_are_left():
    _, _, _, started = inherited(RETINA, ('a', 'b'), ('c', 'd'))
    assert started.rows == 0
    assert started.left['the classes are others'] == [
        'bbox_head.retina_cls.weight', 'bbox_head.retina_cls.bias'
    ]


def test_a_head_of_other_classes_than_the_data_is_left():
    student = detector(RETINA, range(5))
    model = detector(RETINA, GIVEN, seed=1)
    teacher = SimpleNamespace(
        model=model, name='t', classes=GIVEN, pipelines=Pipelines())
    started = Inherit().apply(student, teacher, other_classes(teacher, OWN))
    assert started.rows == 0
    assert 'bbox_head.retina_cls.weight' in started.left[
        'the teacher\'s has another shape']


def test_a_tower_of_as_many_channels_as_scores_is_not_reordered():
    cfg = copy.deepcopy(FCOS)
    names = [f'class {i}' for i in range(8)]  # 8 channels
    student, teacher, _, started = inherited(cfg, names, names[::-1])
    name = 'bbox_head.cls_convs.0.conv.weight'
    assert torch.equal(student.state_dict()[name], teacher.state_dict()[name])
    assert name in started.taken
    assert torch.equal(student.bbox_head.conv_cls.weight,
                       teacher.bbox_head.conv_cls.weight.flip(0))


@pytest.mark.parametrize('head', [
    dict(
        type='YOLOV3Head',
        in_channels=[8, 4, 4],
        out_channels=[4, 4, 4],
        train_cfg=None),
    dict(
        type='Shared2FCBBoxHead',
        in_channels=4,
        fc_out_channels=4,
        cls_predictor_cfg=dict(type='NormedLinear'),
        loss_cls=dict(type='SeesawLoss')),
    dict(type='CoarseMaskHead', in_channels=4, conv_out_channels=4),
])
def test_every_tensor_whose_size_follows_from_the_classes_is_known(head):

    def model(classes):
        cfg = dict(copy.deepcopy(head), num_classes=classes)
        if 'loss_cls' in cfg:
            cfg['loss_cls']['num_classes'] = classes
        return nn.ModuleDict(dict(bbox_head=build(cfg)))

    own, more = model(7), model(9).state_dict()
    by_class = [
        name for name, tensor in own.state_dict().items()
        if isinstance(tensor, torch.Tensor) and '.loss_cls.' not in name
        and tensor.shape != more[name].shape
    ]
    assert by_class
    for name, tensor in own.state_dict().items():
        if name in by_class:
            assert is_by_class(name, tensor, own), name
