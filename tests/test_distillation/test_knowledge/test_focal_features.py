# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import fgd_reference
import pytest
import tiny_classifiers
import torch
from builders import (batch, build, outputs_of, pairs_of, teacher_field,
                      teacher_of)
from entries import FGD
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData
from runs import train_watched
from tiny_heads import FCOS, RETINA
from tiny_two_stage import faster_rcnn, pairs_in_training, picture_batch
from toys import CLASSES, retinanet, run_config

from mmw2s.distillation.knowledge import FocalFeatures, FPNFeatures
from mmw2s.distillation.recorder import Recorder
from mmw2s.models import FGDLoss

MAPS = [(2, 8, 8, 8), (2, 8, 4, 4), (2, 8, 2, 2)]


def assert_masks(pair, boxes, image_size=(64, 64)):
    for weight, own in zip(pair.weight, boxes):
        for found, want in zip(
                weight,
                fgd_reference.masks(own, image_size, pair.student.shape[2:])):
            torch.testing.assert_close(found, torch.from_numpy(want).float())


def given(sizes, boxes, teacher, inputs=None, **fields):
    """Pairs of maps of these sizes, for images with these boxes."""
    images, samples = batch(len(boxes))
    for sample, own in zip(samples, boxes):
        sample.gt_instances = InstanceData(bboxes=own)
    knowledge = FocalFeatures(**fields)
    outputs = outputs_of(
        teacher, ['neck'],
        inputs=images if inputs is None else inputs,
        samples=samples)
    call = type(outputs['neck'][0])
    maps = tuple(torch.randn(len(boxes), *size) for size in sizes)
    return knowledge.pairs(dict(neck=[call((), maps)]), outputs)


@pytest.fixture
def teacher(tmp_path):
    return teacher_of(RETINA, tmp_path / 't.pth')


@pytest.mark.parametrize(
    'model', [RETINA, FCOS, faster_rcnn()], ids=lambda m: m['type'])
def test_each_level_has_the_masks_of_the_boxes(model, tmp_path):
    student, teacher = build(model), teacher_of(model, tmp_path / 't.pth')
    inputs, samples = picture_batch()
    found, plain = (
        pairs_in_training(knowledge, student, teacher, inputs, samples)[0]
        for knowledge in (FocalFeatures(), FPNFeatures()))
    assert len(found) == len(plain) >= 3
    for pair, without in zip(found, plain):
        assert pair.name == without.name and without.weight is None
        assert torch.equal(pair.teacher, without.teacher)
        assert pair.student.shape == without.student.shape
        assert_masks(pair, [s.gt_instances.bboxes for s in samples])
        assert 0 < pair.weight[:, 0].sum()


def test_the_loss_is_that_of_loops_over_boxes_and_pixels(tmp_path):
    pairs = pairs_of(FocalFeatures(), build(RETINA),
                     teacher_of(RETINA, tmp_path / 't.pth'))[0]
    boxes = [[[8., 8., 40., 40.]]] * 2  # of `batch`
    for pair in pairs:
        found = FGDLoss()(pair.student, pair.teacher, pair.weight)
        want = fgd_reference.loss(pair.student.detach(), pair.teacher, boxes,
                                  (64, 64))
        assert found.item() == pytest.approx(want, rel=1e-4)


def test_boxes_of_mmdets_own_type_are_those_of_tensors(teacher):
    boxes = [
        torch.tensor([[3., 3., 20., 30.], [8., 8., 60., 60.]]),
        torch.tensor([[40., 0., 64., 9.]])
    ]
    wrapped = [HorizontalBoxes(own) for own in boxes]
    for pair, other in zip(*(given([m[1:] for m in MAPS], own, teacher)
                             for own in (boxes, wrapped))):
        assert torch.equal(pair.weight, other.weight)
        assert_masks(pair, boxes)


def test_images_without_boxes_are_background(teacher):
    boxes = [torch.zeros(0, 4), torch.tensor([[8., 8., 24., 24.]])]
    pair, *_ = given([m[1:] for m in MAPS], boxes, teacher)
    assert_masks(pair, boxes)
    assert torch.equal(pair.weight[0, 1], torch.full((8, 8), 1 / 64))
    pair, *_ = given([m[1:] for m in MAPS], boxes[:1] * 2, teacher)
    assert_masks(pair, boxes[:1] * 2)


def test_boxes_are_in_pixels_of_the_padded_batch(teacher):
    boxes = [torch.tensor([[8., 8., 40., 40.]])] * 2
    pair, *_ = given([(8, 8, 12), (8, 4, 6)],
                     boxes,
                     teacher,
                     inputs=torch.randn(2, 3, 64, 96))  # of img_shape 64 x 64
    assert_masks(pair, boxes, (64, 96))


def test_resized_maps_have_the_masks_of_the_students_size(teacher):
    boxes = [torch.tensor([[8., 8., 40., 40.]])] * 2
    pair, = given([(8, 4, 4)], boxes, teacher, levels=[0])
    assert pair.weight.shape == (2, 2, 4, 4)
    assert_masks(pair, boxes)


def test_a_teacher_of_smaller_images_has_the_places_of_the_students(tmp_path):
    student = build(RETINA)
    teacher = teacher_of(RETINA, tmp_path / 't.pth', scale=0.5)
    pairs = pairs_of(FocalFeatures(), student, teacher)[0]
    assert [p.name
            for p in pairs] == ['neck[1] (neck[0])', 'neck[2] (neck[1])']
    for pair in pairs:
        assert_masks(pair, [[[8., 8., 40., 40.]]] * 2)


def test_a_permuted_teacher_leaves_the_students_boxes_in_place(tmp_path):
    teacher = teacher_of(RETINA, tmp_path / 't.pth', permute=True)
    boxes = [
        torch.tensor([[3., 3., 20., 30.]]),
        torch.tensor([[40., 0., 64., 9.]])
    ]
    for pair in given([m[1:] for m in MAPS], boxes, teacher):
        assert_masks(pair, boxes)


@pytest.mark.parametrize('adapter', ['fixed', 'trained'])
def test_other_channels_are_fitted_and_keep_their_masks(adapter, teacher):
    boxes = [torch.tensor([[8., 8., 40., 40.]])] * 2
    pair, *_ = given([(5, 8, 8), (5, 4, 4)], boxes, teacher, adapter=adapter)
    assert (pair.adapter is not None) == (adapter == 'trained')
    assert pair.teacher.shape[1] == (8 if adapter == 'trained' else 5)
    assert_masks(pair, boxes)


def test_the_teachers_head_is_not_run(teacher):
    heads = []
    teacher.model.bbox_head.register_forward_hook(lambda *_: heads.append(1))
    student = build(RETINA)
    pairs_of(FocalFeatures(), student, teacher)
    assert not heads
    assert FocalFeatures().calls_needed(dict(neck=[None])) == dict(neck=1)


# -- refusals ------------------------------------------------------------


def test_a_student_that_is_no_detector_is_refused():
    student = tiny_classifiers.build(tiny_classifiers.classifier(4))
    with pytest.raises(
            ValueError,
            match='student .ImageClassifier. is no detector. Use FPNFeatures'):
        FocalFeatures('backbone').check(student, student)


@pytest.mark.parametrize('samples, said', [
    (None, 'no list of data samples'),
    ('without', 'no gt_instances.bboxes at image 1'),
    ('rotated', r'image 1 has a Tensor of shape \(3, 5\)'),
    ('fewer', 'maps of 2 images, but the batch has the boxes of 1'),
])
def test_a_batch_without_such_boxes_is_refused(samples, said, teacher):
    student, (inputs, given) = build(RETINA), batch()
    if samples == 'without':
        del given[1].gt_instances
    elif samples == 'rotated':
        given[1].gt_instances = InstanceData(bboxes=torch.zeros(3, 5))
    outputs = outputs_of(teacher, ['neck'], inputs=inputs, samples=given)
    outputs['neck']
    outputs._data_samples = given[:1] if samples == 'fewer' else \
        None if samples is None else given
    recorder = Recorder(student, ['neck'], 'student')
    recorder.open()
    student.extract_feat(inputs)
    with pytest.raises(ValueError, match=f'(?s){said}.*Use FPNFeatures'):
        FocalFeatures().pairs(recorder.close(), outputs)


# -- runs ----------------------------------------------------------------


@pytest.mark.parametrize(
    'model', [retinanet, faster_rcnn], ids=lambda m: m.__name__)
def test_it_teaches_in_a_run_and_is_gone_after_the_stop(
        model, pictures, tmp_path):
    field = teacher_field(
        model(18), tmp_path / 't.pth', dataset_meta=dict(classes=CLASSES))
    cfg = run_config(
        pictures,
        tmp_path / 'run',
        epochs=1,
        model=model(50),
        hooks=[
            dict(
                type='WeakTeacherDistillHook',
                teacher=field,
                distill=[FGD],
                schedule=dict(type='Constant', value=1.),
                stop=dict(type='At', iter=3))
        ])
    _, seen = train_watched(cfg)
    assert len(seen) == 4
    assert all(step['loss_kd_focal'] > 0 for step in seen[:3])
    assert 'loss_kd_focal' not in seen[3]
