# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import mmpretrain.datasets  # noqa: F401
import numpy as np
import pytest
import torch

from mmw2s.datasets import SparseParity


def drawn(**fields):
    samples = list(SparseParity(**{**dict(dim=12, degree=3), **fields}))
    images = torch.stack([s['inputs'] for s in samples])
    labels = torch.cat([s['data_samples'].gt_label for s in samples])
    return images, labels


def test_the_label_is_the_parity_of_the_first_pixels():
    images, labels = drawn(length=200)
    assert images.shape == (200, 1, 1, 12) and images.dtype == torch.uint8
    assert images.unique().tolist() == [0, 255]
    for image, label in zip(images.flatten(1).tolist(), labels.tolist()):
        assert image[:3].count(255) % 2 == label


def test_a_smaller_set_of_pixels_says_nothing():
    images, labels = drawn(length=20000)
    signs = images.flatten(1).numpy() / 127.5 - 1
    label = 1 - 2 * labels.numpy()
    for pixels in ([0], [0, 1], [0, 2], [5], [0, 1, 3]):
        assert abs((signs[:, pixels].prod(1) * label).mean()) < 0.04
    whole = signs[:, :3].prod(1) * label
    assert np.abs(whole.mean()) == 1


def test_samples_follow_from_the_seed():
    one, other = drawn(length=20)[0], drawn(length=20, seed=1)[0]
    assert torch.equal(one, drawn(length=20)[0])
    assert not torch.equal(one, other)


@pytest.mark.parametrize('fields, message', [
    (dict(degree=13), 'SparseParity.degree should be an integer >= 1 and <='),
    (dict(dim=0), 'SparseParity.dim should be an integer >= 1'),
    (dict(length=0), 'SparseParity.length should be an integer >= 1'),
    (dict(seed=-1), 'SparseParity.seed should be'),
])
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        drawn(**fields)
