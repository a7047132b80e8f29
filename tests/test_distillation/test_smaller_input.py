# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from builders import batch, build, losses_of, outputs_of, pairs_of, teacher_of
from mmengine.structures import BaseDataElement
from toys import retinanet

from mmw2s.distillation import Distiller
from mmw2s.distillation.knowledge import FPNFeatures
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.smaller_input import shrink
from mmw2s.distillation.terms import build_terms

FEATURES = dict(
    knowledge=dict(type='FPNFeatures'), loss=dict(type='MSEKDLoss'))


@pytest.fixture
def teacher(tmp_path):
    return teacher_of(retinanet(), tmp_path / 'teacher.pth', scale=0.5)


def test_each_pixel_is_the_mean_of_those_it_covers():
    image = torch.arange(16.).reshape(1, 1, 4, 4)
    shown, _ = shrink(image, None, 0.5)
    assert shown.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]


def test_odd_sides_are_rounded_up_as_strided_convolutions_do():
    shown, _ = shrink(torch.rand(1, 3, 33, 50), None, 0.5)
    assert shown.shape[2:] == (17, 25)


def test_at_full_size_nothing_is_copied():
    inputs, samples = batch()
    shown, seen = shrink(inputs, samples, 1.)
    assert shown is inputs and seen is samples


def test_sizes_in_the_samples_follow_and_the_given_ones_stay():
    inputs, samples = batch(size=(64, 96))
    samples[0].set_metainfo(
        dict(img_shape=(60, 90, 3), scale_factor=(2., 1.5)))
    before = copy.deepcopy(samples)
    _, seen = shrink(inputs, samples, 0.5)
    assert seen[0].img_shape == (30, 45, 3)
    assert seen[0].batch_input_shape == (32, 48)
    assert seen[0].scale_factor == (1., 0.75)
    assert seen[0].ori_shape == before[0].ori_shape
    assert samples[0].metainfo == before[0].metainfo
    assert seen[0].gt_instances is samples[0].gt_instances


def test_width_and_height_have_factors_of_their_own():
    # 33 rows become 17, 50 columns 25.
    sample = BaseDataElement(metainfo=dict(scale_factor=(1., 1., 1., 1.)))
    _, (seen, ) = shrink(torch.rand(1, 3, 33, 50), [sample], 0.5)
    assert seen.scale_factor == (0.5, 17 / 33, 0.5, 17 / 33)


def test_padding_of_segmentors_follows():
    # Left, right, top, bottom: mmseg cuts them off the predicted scores.
    sample = BaseDataElement(
        metainfo=dict(
            padding_size=(0, 10, 0, 10), img_padding_size=[0, 10, 0, 10]))
    # 5 rows become 3, 50 columns 25.
    _, (seen, ) = shrink(torch.rand(1, 3, 5, 50), [sample], 0.5)
    assert seen.padding_size == seen.img_padding_size == (0, 5, 0, 6)


def test_samples_without_sizes_and_other_forms_are_passed_on():
    plain = [BaseDataElement(), BaseDataElement()]
    _, seen = shrink(torch.rand(2, 3, 8, 8), plain, 0.5)
    assert [s.metainfo for s in seen] == [{}, {}]
    given = dict(label=[1, 2])
    assert shrink(torch.rand(2, 3, 8, 8), given, 0.5)[1] is given


def test_the_teacher_sees_the_batch_at_that_size(teacher):
    inputs, samples = batch(size=(64, 96))
    outputs = outputs_of(teacher, ['neck'], inputs=inputs, samples=samples)
    maps = outputs['neck'][0].output
    expected = teacher.model.extract_feat(
        torch.nn.functional.avg_pool2d(inputs, 2))
    for given, right in zip(maps, expected):
        torch.testing.assert_close(given, right)


def test_its_maps_teach_the_students_next_coarser_levels(teacher):
    student = build(retinanet())
    pairs, _, _ = pairs_of(FPNFeatures(), student, teacher, size=(128, 128))
    names = [pair.name for pair in pairs]
    assert names[:2] == ['neck[1] (neck[0])', 'neck[2] (neck[1])']
    for pair in pairs:
        assert pair.student.shape == pair.teacher.shape


def test_its_boxes_are_those_of_the_original_image(teacher):
    inputs, samples = batch(size=(64, 96))
    data = dict(
        inputs=[image * 40 + 120 for image in inputs], data_samples=samples)
    given = teacher.predict(copy.deepcopy(data))
    processed = teacher.model.data_preprocessor(copy.deepcopy(data), False)
    shown = torch.nn.functional.avg_pool2d(processed['inputs'], 2)
    for sample in processed['data_samples']:
        sample.set_metainfo(
            dict(
                img_shape=(32, 48),
                batch_input_shape=(32, 48),
                scale_factor=(0.5, 0.5)))
    right = teacher.model(shown, processed['data_samples'], mode='predict')
    assert len(given[0].pred_instances) > 0
    for one, other in zip(given, right):
        torch.testing.assert_close(one.pred_instances.bboxes,
                                   other.pred_instances.bboxes)
    # Some box lies where an unscaled one could not.
    assert max(g.pred_instances.bboxes.max() for g in given) > 48


def test_a_distillation_trains_on_such_features(teacher):
    student = build(retinanet(), seed=3).train()
    distiller = Distiller(student, teacher, build_terms([FEATURES]),
                          Constant(1.))
    distiller.bind(10, 10)
    distiller.attach()
    distiller.step(0)
    _, joined = losses_of(student, *batch(size=(128, 128)))
    joined['loss_kd_fpn'].backward()
    grads = [p.grad for p in student.backbone.parameters()]
    assert any(g is not None and g.abs().sum() > 0 for g in grads)


def test_what_belongs_to_one_place_is_refused(teacher):
    terms = build_terms([
        dict(
            knowledge=dict(type='DenseHeadOutputs'),
            loss=dict(type='QualityFocalKDLoss'))
    ])
    with pytest.raises(ValueError, match='teacher.scale=0.5 shows the'):
        Distiller(build(retinanet()), teacher, terms, Constant(1.))


def test_a_teacher_of_another_scale_is_another_teacher(tmp_path, teacher):
    full = teacher_of(retinanet(), tmp_path / 'same.pth')
    assert full.fingerprint['weights_hash'] == \
        teacher.fingerprint['weights_hash']
    assert full.fingerprint['config_hash'] != \
        teacher.fingerprint['config_hash']
