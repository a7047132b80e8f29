# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS


def pack(results, **fields):
    return TRANSFORMS.build(dict(type='PackImage', **fields))(results)


def result(number=0, shape=(4, 6, 3), **more):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    return dict(img=pixels, sample_idx=number, **more)


def test_channels_come_first_and_values_stay():
    given = result()
    packed = pack(given)
    assert packed['inputs'].dtype == torch.uint8
    np.testing.assert_array_equal(packed['inputs'],
                                  given['img'].transpose(2, 0, 1))
    assert pack(result(shape=(4, 6)))['inputs'].shape == (1, 4, 6)


def test_number_and_label_are_kept():
    sample = pack(result(7, gt_label=3))['data_samples']
    assert sample.sample_idx == 7
    assert sample.gt_label.tolist() == [3]
    assert 'gt_label' not in pack(result())['data_samples']


@pytest.mark.parametrize('generate, asked', [(False, []), (2, [0, 1]),
                                             (True, [0, 1, 2])])
def test_images_are_asked_for_from_the_first_on(generate, asked):
    samples = [
        pack(result(i), generate=generate, seed=10)['data_samples']
        for i in range(3)
    ]
    assert [i for i in range(3) if 'sample_seed' in samples[i]] == asked
    assert all(samples[i].sample_seed == 10 + i for i in asked)


@pytest.mark.parametrize(
    'image', [np.zeros((4, 4), np.float32),
              np.zeros((1, 3, 4, 4), np.uint8)])
def test_other_images_are_refused(image):
    with pytest.raises(ValueError, match='images of 8 bits, shape'):
        pack(dict(img=image, sample_idx=0))
