# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmengine.model import BaseDataPreprocessor, ImgDataPreprocessor

from mmw2s.distillation.pixel_map import PixelMap

NORM = dict(mean=[10., 20., 30.], std=[1., 2., 4.])
INPUTS = torch.rand(3, 5, 4, dtype=torch.float64)


def apply(pixels, images=INPUTS):
    return pixels.scale * images[list(pixels.order)] + pixels.shift


def of(preprocessor):
    return PixelMap.of_preprocessor(preprocessor, 3, 'student')


class TestOfNorm:

    def test_values(self):
        expected = (INPUTS - torch.tensor([10., 20., 30.]).view(3, 1, 1)) \
            / torch.tensor([1., 2., 4.]).view(3, 1, 1)
        found = PixelMap.of_norm(**NORM, swapped=False, channels=3)
        assert torch.allclose(apply(found), expected)
        assert found.pad is None

    def test_channels_are_swapped_before(self):
        found = PixelMap.of_norm(**NORM, swapped=True, channels=3)
        plain = PixelMap.of_norm(**NORM, swapped=False, channels=3)
        assert torch.equal(apply(found), apply(plain, INPUTS.flip(0)))

    def test_one_number_is_for_all_channels(self):
        found = PixelMap.of_norm(5., [2.], False, 3)
        assert torch.allclose(apply(found), (INPUTS - 5) / 2)

    def test_numbers_for_other_channels_are_refused(self):
        with pytest.raises(ValueError, match='has 3 means and 1 standard'):
            PixelMap.of_norm([1., 2., 3.], 1., False, 4)


class TestOfPreprocessor:

    def test_order_scale_shift_and_padding(self):
        found = of(
            DetDataPreprocessor(
                **NORM, bgr_to_rgb=True, pad_size_divisor=32, pad_value=7))
        expected = PixelMap.of_norm(**NORM, swapped=True, channels=3)
        assert found.order == expected.order == (2, 1, 0)
        assert torch.allclose(found.scale, expected.scale, atol=1e-4)
        assert torch.allclose(found.shift, expected.shift, atol=1e-2)
        assert found.pad.flatten().tolist() == [7., 7., 7.]

    def test_one_that_leaves_pixels_alone(self):
        found = of(ImgDataPreprocessor())
        assert found.order == (0, 1, 2) and found.keeps_values

    def test_random_numbers_are_left_alone(self):
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        of(DetDataPreprocessor(**NORM))
        assert torch.equal(torch.rand(1), expected)

    def test_what_is_no_map_of_pixels_is_refused(self):

        class Squares(ImgDataPreprocessor):

            def forward(self, data, training=False):
                data = super().forward(data, training)
                return dict(data, inputs=data['inputs']**2)

        with pytest.raises(
                ValueError, match='preprocessor .Squares. does mor'):
            of(Squares())

    def test_one_that_takes_no_images_is_refused(self):

        class Fails(BaseDataPreprocessor):

            def forward(self, data, training=False):
                raise KeyError('text')

        with pytest.raises(
                ValueError, match="cannot be tried .*KeyError: 'te"):
            of(Fails())


class TestAlgebra:
    FIRST = PixelMap.of_norm(**NORM, swapped=True, channels=3)
    SECOND = PixelMap((1, 2, 0),
                      torch.tensor([2., 3., 4.]).double().view(3, 1, 1),
                      torch.tensor([1., 0., -1.]).double().view(3, 1, 1))

    def test_one_after_the_other(self):
        both = self.SECOND.after(self.FIRST)
        assert torch.allclose(
            apply(both), apply(self.SECOND, apply(self.FIRST)))

    @pytest.mark.parametrize('pixels', [FIRST, SECOND])
    def test_the_way_back(self, pixels):
        assert torch.allclose(apply(pixels.inverse(), apply(pixels)), INPUTS)

    def test_there_is_none_where_a_channel_is_lost(self):
        assert self.SECOND._replace(order=(0, 0, 2)).inverse() is None
        assert self.SECOND._replace(
            scale=torch.zeros(3, 1, 1)).inverse() is None

    def test_values_are_kept_by_an_order_alone(self):
        ordered = PixelMap((2, 1, 0), torch.ones(3, 1, 1),
                           torch.zeros(3, 1, 1))
        assert ordered.keeps_values
        assert not ordered._replace(
            shift=torch.full((3, 1, 1), -.5)).keeps_values
        assert not self.SECOND.keeps_values
