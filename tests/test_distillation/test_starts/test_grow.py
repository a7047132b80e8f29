# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from builders import batch, build, teacher_of
from tiny_classifiers import batch as classifier_batch
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier
from tiny_classifiers import teacher_of as classifier_teacher
from tiny_two_stage import faster_rcnn, picture_batch
from toys import retinanet

from mmw2s.distillation.class_matching import OtherClasses
from mmw2s.distillation.starts import Grow
from mmw2s.registry import STARTS


def detector(depth=18, width=8, make=retinanet, **fields):
    """A detector whose backbone has ``width`` channels at first."""
    cfg = make(depth, channels=8, **fields)
    cfg['backbone'].update(base_channels=width, stem_channels=width)
    times = 4 if depth >= 50 else 1
    cfg['neck']['in_channels'] = [times * width * 2**i for i in range(4)]
    return cfg


def losses(model, inputs, samples):
    """Those of a training step, with batch statistics."""
    # `FrozenTeacher` keeps its model in eval mode, whatever is called.
    type(model).train(model, True)
    torch.manual_seed(0)  # RoI heads sample boxes
    with torch.no_grad():
        return model(inputs, copy.deepcopy(samples), mode='loss')


def assert_same_losses(student, teacher, inputs, samples):
    ours, theirs = (
        losses(model, inputs, samples) for model in (student, teacher))
    assert set(ours) == set(theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.fixture
def grow(tmp_path):

    def run(student, teacher, other_classes=None):
        frozen = teacher_of(teacher, tmp_path / 'teacher.pth')
        model = build(student)
        return model, frozen, Grow().apply(model, frozen, other_classes)

    return run


@pytest.mark.parametrize('depth, width', [(34, 8), (18, 16), (34, 24)])
def test_a_grown_detector_has_its_teachers_losses(grow, depth, width):
    student, teacher, _ = grow(detector(depth, width), detector())
    assert_same_losses(student, teacher.model, *batch())


def test_a_grown_two_stage_detector_has_its_teachers_losses(grow):
    student, teacher, _ = grow(
        detector(34, 16, faster_rcnn), detector(make=faster_rcnn))
    assert_same_losses(student, teacher.model, *picture_batch())


def test_neck_and_head_of_two_stages_may_be_wider_too(grow):
    student = detector(18, 8, faster_rcnn)
    head = student['roi_head']['bbox_head']
    student['neck']['out_channels'] = 16
    student['rpn_head'].update(in_channels=16, feat_channels=16)
    student['roi_head']['bbox_roi_extractor']['out_channels'] = 16
    head.update(in_channels=16, fc_out_channels=2 * head['fc_out_channels'])
    model, teacher, started = grow(student, detector(make=faster_rcnn))
    assert_same_losses(model, teacher.model, *picture_batch())
    assert started.share == 1


def test_neck_and_head_may_be_wider_too(grow):
    student = detector(18, 8)
    student['neck']['out_channels'] = 16
    student['bbox_head'].update(in_channels=16, feat_channels=16)
    model, teacher, started = grow(student, detector())
    assert_same_losses(model, teacher.model, *batch())
    assert started.share == 1


@pytest.mark.parametrize('depth, width', [(34, 4), (18, 8), (34, 8)])
def test_a_grown_classifier_has_its_teachers_losses(tmp_path, depth, width):
    teacher = classifier_teacher(classifier(), tmp_path / 'teacher.pth')
    student = build_classifier(
        classifier(
            width,
            backbone=dict(
                type='ResNet_CIFAR', depth=depth, base_channels=width)))
    Grow().apply(student, teacher, None)
    assert_same_losses(student, teacher.model, *classifier_batch())


def test_the_account_names_what_is_new(grow):
    student, _, started = grow(detector(34), detector())
    new = started.left['they are new, and without effect at first']
    assert 'backbone.layer1.2.conv1.weight' in new
    assert {*started.taken, *new} == set(student.state_dict())
    assert 0 < started.share < 1 and started.adapted == {}
    assert 'without effect at first' in str(started)


def test_the_account_names_what_is_wider(grow):
    student, teacher, started = grow(detector(18, 16), detector())
    given = teacher.model.state_dict()
    assert started.left == {}
    wide = started.adapted['are grown']
    assert {*started.taken, *wide} == set(student.state_dict())
    for name in started.taken:
        assert torch.equal(student.state_dict()[name], given[name])
    assert 'neck.lateral_convs.0.conv.weight' in wide
    assert f'; {len(wide)} of them are grown' in str(started)


def test_parameters_are_changed_in_place_for_the_optimizer(tmp_path):
    student = build(detector(34, 16))
    kept = dict(student.named_parameters())
    Grow().apply(student, teacher_of(detector(), tmp_path / 't.pth'), None)
    for name, parameter in student.named_parameters():
        assert parameter is kept[name] and parameter.requires_grad


def test_each_rank_grows_the_same_and_no_random_number_is_used(tmp_path):
    teacher = teacher_of(detector(), tmp_path / 'teacher.pth')
    one = build(detector(18, 16))
    other = copy.deepcopy(one)
    state = torch.get_rng_state()
    Grow().apply(one, teacher, None)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)  # as on a rank that has drawn more
    Grow().apply(other, teacher, None)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.fixture
def refused(tmp_path):
    """Refuses to grow, and leaves the student as it was."""

    def run(student, teacher, message, other_classes=None, **fields):
        frozen = teacher_of(teacher, tmp_path / 'teacher.pth', **fields)
        model = build(student)
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(ValueError, match=message):
            Grow().apply(model, frozen, other_classes)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name]), name

    return run


def test_another_kind_of_block_is_refused_with_advice(refused):
    refused(
        detector(50), detector(),
        'start=Grow: .* RetinaNet: backbone.layer1: its blocks .*Inherit.*'
        r'grows models made of .*ResNet')


def test_other_classes_are_refused_with_advice(refused):
    advice = '.*Inherit"., which leaves what depends on them'
    refused(
        detector(34), detector(), f'others .they differ at 0.{advice}',
        OtherClasses('they differ at 0'))
    refused(
        detector(34, num_classes=4), detector(),
        f'bbox_head: it has 4 classes, the teacher 2:{advice}')


def test_another_normalization_is_refused_with_advice(refused):
    teacher = detector()
    teacher['data_preprocessor'].update(mean=[1., 2., 3.], std=[4., 5., 6.])
    refused(
        detector(34), teacher,
        'normalize images differently: give .*data_preprocessor, or .*Inherit')


@pytest.mark.parametrize('change, message', [
    (dict(strides=(1, 1, 2, 2)), 'the student gives .*the teacher'),
    (dict(dilations=(1, 1, 1, 2)), 'differs by up to .*Inherit'),
])
def test_equal_weights_that_compute_something_else_are_refused(
        refused, change, message):
    student = detector(34)
    student['backbone'].update(change)
    refused(student, detector(), message)


def test_a_rule_that_is_wrong_is_found_out(refused, monkeypatch):

    def wrong(weight, k, dim=1):
        return weight.repeat_interleave(k, dim)

    monkeypatch.setattr('mmw2s.distillation.starts.growth.widths.split', wrong)
    refused(detector(18, 16), detector(), 'differs by up to')


def test_a_rule_that_gives_other_shapes_is_found_out(refused, monkeypatch):
    monkeypatch.setattr(
        'mmw2s.distillation.starts.growth.widths.copied',
        lambda tensor, k, dim=0: tensor)
    refused(
        detector(18, 16), detector(),
        r'backbone.conv1.weight: its rule gives \(8, 3, 7, 7\), but it is '
        r'\(16, 3, 7, 7\)')


def test_models_of_no_known_family_are_refused(tmp_path):
    from mmengine.registry import MODELS

    @MODELS.register_module(force=True)
    class Chain(torch.nn.Sequential):

        def __init__(self, width):
            super().__init__(torch.nn.Conv2d(3, width, 3))

        def forward(self, x):
            return (super().forward(x), )

    def chain(width):
        cfg = classifier(width)
        cfg.update(backbone=dict(type='Chain', width=width))
        cfg['head']['in_channels'] = width
        return cfg

    teacher = classifier_teacher(chain(4), tmp_path / 'teacher.pth')
    with pytest.raises(ValueError, match='backbone.0: no rule tells how'):
        Grow().apply(build_classifier(chain(8)), teacher, None)
    # Equal ones need no rule.
    student = build_classifier(chain(4))
    assert Grow().apply(student, teacher, None).share == 1


def test_it_has_no_fields():
    with pytest.raises(TypeError, match='Grow has no field "modules"'):
        STARTS.build(dict(type='Grow', modules=['neck']))
