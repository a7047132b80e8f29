# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmdet.models import DetDataPreprocessor, MultiBranchDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.model import BaseDataPreprocessor, stack_batch
from mmpretrain.models import ClsDataPreprocessor, TwoNormDataPreprocessor
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
def test_a_teacher_without_normalization_is_told_of(capsys, student, teacher,
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


# -- preprocessors of every kind -------------------------------------------


class SegDataPreprocessor(BaseDataPreprocessor):
    """As that of MMSegmentation 1.2.2: another flag, images of one size."""

    def __init__(self, mean, std, bgr_to_rgb=False, pad_val=0):
        super().__init__()
        self.channel_conversion, self.pad_val = bgr_to_rgb, pad_val
        self._norm = [torch.tensor(v).view(-1, 1, 1) for v in (mean, std)]

    def forward(self, data, training=False):
        inputs = data['inputs']
        if self.channel_conversion and inputs[0].size(0) == 3:
            inputs = [image[[2, 1, 0], ...] for image in inputs]
        inputs = [(x.float() - self._norm[0]) / self._norm[1] for x in inputs]
        if training:
            inputs = stack_batch(inputs, 32, self.pad_val)
            for sample, image in zip(data['data_samples'], data['inputs']):
                sample.set_metainfo(
                    dict(
                        img_shape=image.shape[-2:], padding_size=(0, 1, 0, 1)))
        else:
            assert len({image.shape for image in inputs}) == 1
            inputs = torch.stack(inputs)
        return dict(inputs=inputs, data_samples=data.get('data_samples'))


class Scaling(BaseDataPreprocessor):
    """A user's: only a mean, of images that are brought to 0 to 1."""

    def forward(self, data, training=False):
        images = [image.float() / 255 - 0.5 for image in data['inputs']]
        return dict(
            inputs=stack_batch(images), data_samples=data['data_samples'])


class Gamma(BaseDataPreprocessor):

    def forward(self, data, training=False):
        images = [(image.float() / 255)**2.2 for image in data['inputs']]
        return dict(inputs=stack_batch(images), data_samples=None)


class OneChannel(Scaling):

    def forward(self, data, training=False):
        batch = super().forward(data, training)
        return dict(batch, inputs=batch['inputs'][:, :1])


def cls_preprocessor(bgr_to_rgb=False, **fields):
    return ClsDataPreprocessor(to_rgb=bgr_to_rgb, **fields)


KINDS = dict(
    det=lambda: DetDataPreprocessor(**RGB),
    caffe=lambda: DetDataPreprocessor(**CAFFE, pad_value=9),
    cls=lambda: cls_preprocessor(**RGB),
    raw=lambda: ClsDataPreprocessor(),
    seg=lambda: SegDataPreprocessor(**RGB, pad_val=3),
    bgr_seg=lambda: SegDataPreprocessor(**CAFFE),
    scaling=Scaling,
    nested=lambda: MultiBranchDataPreprocessor(
        dict(type='mmdet.DetDataPreprocessor', **RGB)))


@pytest.mark.parametrize('student', sorted(set(KINDS) - {'nested'}))
@pytest.mark.parametrize('teacher', sorted(KINDS))
def test_whatever_the_class_the_teacher_sees_its_own(student, teacher):
    student, teacher = KINDS[student](), KINDS[teacher]()
    mapping = InputMapping(student, teacher)
    sizes = [(32, 32)] * 2
    seen = student(raw(sizes), True)
    mapped = mapping(seen['inputs'], seen['data_samples'])
    assert torch.allclose(mapped, teacher(raw(sizes))['inputs'], atol=1e-3)


@pytest.mark.parametrize('student', ['seg', 'cls', 'scaling', 'caffe'])
def test_padding_becomes_the_teachers_whoever_notes_it(student):
    student, teacher = KINDS[student](), KINDS['caffe']()
    mapping = InputMapping(student, teacher)
    seen = student(raw(), True)
    mapped = mapping(seen['inputs'], seen['data_samples'])
    own = teacher(raw())['inputs']
    height, width = own.shape[2:]
    assert torch.allclose(mapped[..., :height, :width], own, atol=1e-3)
    assert (mapped[..., width:] == 9).all()
    mapping.remove()
    assert not student._forward_pre_hooks


@pytest.mark.parametrize('channels', [1, 4])
def test_images_of_other_channels_are_mapped(channels):
    student = ClsDataPreprocessor(
        mean=[10., 20., 30., 40.][:channels], std=[2.] * channels)
    teacher = ClsDataPreprocessor(mean=[99.], std=[3.], to_rgb=True)
    batch = dict(
        inputs=torch.randint(0, 256, (2, channels, 8, 8), dtype=torch.uint8))
    mapped = InputMapping(student, teacher)(**student(batch))
    assert torch.allclose(mapped, teacher(batch)['inputs'], atol=1e-4)


@pytest.mark.parametrize(
    'student, teacher, message', [
        (Gamma(), Scaling(),
         r"student's data_preprocessor \(Gamma\) does more to an image"),
        (Scaling(), Gamma(),
         r"teacher's data_preprocessor \(Gamma\) does more"),
        (OneChannel(), Scaling(), 'leaves a channel out'),
        (ClsDataPreprocessor(mean=[1.] * 4, std=[2.] * 4), KINDS['cls'](),
         r"teacher's .* cannot be tried on images of 4 channels"),
        (KINDS['cls'](),
         TwoNormDataPreprocessor(
             mean=[1.], std=[1.], second_mean=[1.], second_std=[1.]),
         r"teacher's .*\(TwoNormDataPreprocessor\) cannot be tried"),
    ],
    ids=lambda x: type(x).__name__)
def test_what_cannot_be_told_or_undone_is_refused(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        InputMapping(student, teacher)


def test_two_that_are_the_same_are_never_refused():
    inputs = torch.ones(1, 3, 8, 8)
    assert InputMapping(Gamma(), Gamma())(inputs, None) is inputs


def test_the_probe_draws_no_random_numbers():
    state = torch.get_rng_state()
    InputMapping(KINDS['det'](), KINDS['caffe']())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize('student, given', [
    (ClsDataPreprocessor(), torch.rand(2, 3, 8, 8)),
    (ClsDataPreprocessor(), torch.rand(2, 3, 8, 8) * 255 - 120),
    (ClsDataPreprocessor(mean=[.5], std=[.5]), torch.rand(2, 3, 8, 8)),
])
def test_images_that_a_data_set_has_normalized_by_itself_are_refused(
        student, given):
    mapping = InputMapping(student, KINDS['cls']())
    with pytest.raises(ValueError, match='the images that reach the student'):
        mapping(**student(dict(inputs=given)))


def test_values_below_0_are_taken_by_a_teacher_whose_mean_is_below_0():
    student, teacher = (
        ClsDataPreprocessor(mean=[mean], std=[400.]) for mean in (-300., -250))
    values = torch.rand(2, 3, 8, 8) * 2000 - 1000
    given = InputMapping(student, teacher)((values + 300) / 400, None)
    assert torch.allclose(given, (values + 250) / 400, atol=1e-4)


def test_images_of_0_to_255_are_refused_by_a_teacher_of_0_to_1():
    student = KINDS['cls']()
    mapping = InputMapping(student,
                           ClsDataPreprocessor(mean=[0.45], std=[0.22]))
    with pytest.raises(ValueError, match='subtracts 0.45'):
        mapping(**student(raw([(8, 8)] * 2)))
