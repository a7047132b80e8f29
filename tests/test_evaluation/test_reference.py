# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os

import numpy as np
import pytest
import torch
from tiny_extractor import Corners, Noise

from mmw2s.cache import cache_folder
from mmw2s.evaluation.reference import reference_of


def look(dataset, extractor, batch_size=16):
    return reference_of(dataset, extractor, 'cpu', batch_size)


def test_mean_covariance_and_features_are_those_of_all_images():
    dataset, extractor = Noise(), Corners()
    found = look(dataset, extractor)
    features = extractor(dataset.images).double().numpy()
    np.testing.assert_allclose(found.mean, features.mean(0))
    np.testing.assert_allclose(found.cov, np.cov(features.T))
    np.testing.assert_allclose(found.features, features)


def test_it_is_computed_once_for_the_same_images():
    first = look(Noise(), Corners())
    again = Corners()
    found = look(Noise(), again)
    assert again.images_seen == 0
    np.testing.assert_array_equal(found.cov, first.cov)
    assert torch.equal(found.features, first.features)


@pytest.mark.parametrize('dataset, extractor', [
    (Noise(seed=1), Corners()),
    (Noise(count=39), Corners()),
    (Noise(), Corners(4)),
])
def test_another_set_or_extractor_is_computed_anew(dataset, extractor):
    look(Noise(), Corners())
    look(dataset, extractor)
    assert extractor.images_seen == len(dataset)
    assert len(os.listdir(cache_folder('real_images'))) == 2


def test_few_of_the_features_are_kept_evenly_spaced(monkeypatch):
    monkeypatch.setattr('mmw2s.evaluation.reference.MOST_FEATURES', 15)
    dataset, extractor = Noise(), Corners()
    found = look(dataset, extractor)
    assert torch.equal(found.features, extractor(dataset.images[::3]))
    np.testing.assert_allclose(found.mean,
                               extractor(dataset.images).double().mean(0))


def test_a_cache_that_cannot_be_written_does_not_end_the_run(monkeypatch):
    monkeypatch.setenv('MMW2S_CACHE', '/dev/null')
    assert len(look(Noise(), Corners()).features) == 40


def test_normalised_images_are_refused():
    dataset = Noise()
    dataset.images = dataset.images.float()
    with pytest.raises(ValueError, match='8 bits.*float32.*normalisation'):
        look(dataset, Corners())
