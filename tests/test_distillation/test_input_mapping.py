# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from mmw2s.distillation.input_mapping import InputMapping

RGB = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1., 1., 1.])
SIZES = [(40, 52), (64, 33), (50, 50)]


def raw(sizes=SIZES):
    """Pictures of different sizes, as a pipeline gives them."""
    generator = torch.Generator().manual_seed(0)
    return dict(
        inputs=[
            torch.randint(
                0, 256, (3, *size), dtype=torch.uint8, generator=generator)
            for size in sizes
        ],
        data_samples=[
            DetDataSample(metainfo=dict(img_shape=size)) for size in sizes
        ])


def both(student, teacher, kind=DetDataPreprocessor, sizes=SIZES):
    """The student's batch mapped for the teacher, and the teacher's own."""
    student, teacher = kind(**student), kind(**teacher)
    seen = student(raw(sizes))
    mapping = InputMapping(student, teacher)
    before = seen['inputs'].clone()
    mapped = mapping(seen['inputs'], seen['data_samples'])
    assert torch.equal(seen['inputs'], before)
    return mapped, teacher(raw(sizes))['inputs']


@pytest.mark.parametrize(
    'student, teacher', [
        (RGB, CAFFE),
        (CAFFE, RGB),
        (RGB, dict(RGB, mean=[0., 0., 0.], std=[255., 255., 255.])),
        (RGB, dict(
            CAFFE, mean=[1., 2., 3.], std=[3., 2., 1.], rgb_to_bgr=True)),
        (RGB, {}),
        ({}, RGB),
        (RGB, dict(mean=[128.], std=[64.])),
        (dict(mean=[128.], std=[64.], bgr_to_rgb=True), CAFFE),
        (RGB, dict(RGB, pad_value=7)),
        (dict(CAFFE, pad_value=3), dict(RGB, pad_value=-2)),
    ],
    ids=str)
@pytest.mark.parametrize('divisor', [1, 32])
def test_the_teacher_sees_what_its_own_preprocessor_would_give(
        student, teacher, divisor):
    mapped, own = both(
        dict(student, pad_size_divisor=divisor),
        dict(teacher, pad_size_divisor=divisor))
    assert mapped.shape == own.shape
    assert torch.allclose(mapped, own, atol=1e-4)


def test_equal_preprocessors_hand_on_the_very_same_tensor():
    student, teacher = DetDataPreprocessor(**RGB), DetDataPreprocessor(**RGB)
    mapping = InputMapping(student, teacher)
    inputs = torch.ones(1, 3, 4, 4)
    assert mapping.is_identity and mapping(inputs, None) is inputs


def test_pixels_stay_where_they_are_whatever_the_teacher_pads_to():
    student = DetDataPreprocessor(**RGB, pad_size_divisor=32)
    teacher = DetDataPreprocessor(**CAFFE, pad_size_divisor=128)
    seen = student(raw())
    mapped = InputMapping(student, teacher)(**seen)
    own = teacher(raw())['inputs']
    assert mapped.shape[2:] == (64, 64) and own.shape[2:] == (128, 128)
    assert torch.allclose(mapped, own[..., :64, :64], atol=1e-4)


def test_a_shape_from_before_the_augmentation_pads_nothing():
    # As mmpretrain's wrappers of torchvision's transforms leave it.
    samples = [DataSample(metainfo=dict(img_shape=(32, 32)))]
    student, teacher = (
        ClsDataPreprocessor(mean=[mean] * 3, std=[50.] * 3)
        for mean in (120., 100.))
    batch = dict(
        inputs=torch.full((1, 3, 64, 64), 110, dtype=torch.uint8),
        data_samples=samples)
    mapped = InputMapping(student, teacher)(**student(batch))
    assert torch.allclose(mapped, teacher(batch)['inputs'])


def test_the_constants_go_to_the_device_once():
    mapping = InputMapping(
        DetDataPreprocessor(**RGB), DetDataPreprocessor(**CAFFE))
    inputs = torch.zeros(1, 3, 4, 4, device='meta')
    mapping(inputs, None)
    scale = mapping._scale
    mapping(inputs, None)
    assert scale.device.type == 'meta' and mapping._scale is scale


def test_a_batch_without_data_samples_is_mapped_too():
    mapping = InputMapping(
        DetDataPreprocessor(**RGB), DetDataPreprocessor(**CAFFE))
    assert mapping(torch.zeros(2, 3, 4, 4), None).shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    'teacher',
    [dict(RGB, bgr_to_rgb=False),
     dict(CAFFE, mean=[100., 90., 80.])])
def test_classifiers_are_mapped_too(teacher):
    ClsDataPreprocessor = pytest.importorskip(
        'mmpretrain.models').ClsDataPreprocessor

    def kind(bgr_to_rgb=False, **fields):
        return ClsDataPreprocessor(to_rgb=bgr_to_rgb, **fields)

    mapped, own = both(RGB, teacher, kind, sizes=[(32, 32), (32, 32)])
    assert torch.allclose(mapped, own, atol=1e-4)
    mapped, own = both(RGB, RGB, kind, sizes=[(32, 32)])
    assert torch.allclose(mapped, own, atol=1e-4)


@pytest.mark.parametrize('student, teacher, warned', [
    (RGB, {}, True),
    ({}, RGB, False),
    ({}, {}, False),
    (RGB, CAFFE, False),
])
def test_a_teacher_without_normalisation_is_told_of(capsys, student, teacher,
                                                    warned):
    MMLogger.get_instance('said')
    InputMapping(
        ClsDataPreprocessor(**to_rgb(student)),
        ClsDataPreprocessor(**to_rgb(teacher)))
    said = capsys.readouterr().out
    assert ('put its data_preprocessor into teacher.config' in said) is warned


def to_rgb(cfg):
    return {
        'to_rgb' if key == 'bgr_to_rgb' else key: value
        for key, value in cfg.items()
    }
