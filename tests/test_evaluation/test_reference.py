# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import hashlib
import os
import pickle

import numpy as np
import pytest
import torch
from tiny_extractor import Corners, Noise

from mmw2s.evaluation import reference
from mmw2s.evaluation.reference import reference_of
from mmw2s.utils.cache import cache_folder


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


def test_what_is_kept_and_damaged_is_computed_anew(capsys):
    first = look(Noise(), Corners())
    folder = cache_folder('real_images')
    path = os.path.join(folder, *os.listdir(folder))
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) // 2)
    for seen in (40, 0):
        again = Corners()
        found = look(Noise(), again)
        assert again.images_seen == seen
        np.testing.assert_array_equal(found.cov, first.cov)
    assert 'features of real images, is damaged' in capsys.readouterr().out


def test_the_key_is_that_of_all_pixels_in_order(monkeypatch):
    monkeypatch.setattr(reference, 'STRETCH', 7)
    look(Noise(), Corners())
    digest = hashlib.sha256(b'corners 3')
    for image in Noise().images:
        digest.update(b'(1, 4, 4)' + image.numpy().tobytes())
    assert os.listdir(
        cache_folder('real_images')) == [f'{digest.hexdigest()[:32]}.npz']


def test_each_rank_reads_its_own_images_for_the_key(monkeypatch):
    alone = reference._cache_path(Noise(), Corners())
    read, sent = [], []
    monkeypatch.setattr(reference, 'STRETCH', 7)
    monkeypatch.setattr(
        reference, '_pixels',
        lambda data, index: read.append(index) or data[index]['inputs'])
    # Without a second process: what each would send, then all of it.
    monkeypatch.setattr(reference, 'all_gather_object',
                        lambda own: sent.append(own) or [own])
    parts = []
    for rank in range(2):
        read.clear(), sent.clear()
        monkeypatch.setattr(reference, 'get_dist_info', lambda: (rank, 2))
        reference._cache_path(Noise(), Corners())
        parts.append((list(read), list(sent)))
    assert sorted(parts[0][0] + parts[1][0]) == list(range(40))
    assert len(parts[0][1]) == len(parts[1][1])
    assert len(pickle.dumps(parts[0][1][0])) < 7 * 16 + 900
    gathered = iter(zip(*(sent for _, sent in parts)))
    monkeypatch.setattr(reference, 'all_gather_object',
                        lambda own: next(gathered))
    assert reference._cache_path(Noise(), Corners()) == alone


def test_what_ranks_exchange_are_the_features_and_no_more(monkeypatch):
    sent = []
    monkeypatch.setattr(reference, 'collect_results',
                        lambda rows, size: sent.append(rows) or rows)
    look(Noise(), Corners(16))
    whole, one = (len(pickle.dumps(x)) for x in (sent[0], torch.zeros(16)))
    assert whole < 40 * one


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


@pytest.mark.parametrize('kind, message', [
    ('float', '8 bits.*float32.*normalization'),
    ('random', 'image 0 .* another each time .* random transforms'),
    ('mixed', 'images of one size'),
])
def test_images_that_cannot_be_compared_are_refused(kind, message):
    with pytest.raises(ValueError, match=message):
        look(Noise(kind), Corners())


def test_an_image_of_another_size_is_found_wherever_it_is(monkeypatch):
    monkeypatch.setattr(reference, 'check_images', lambda dataset: None)
    with pytest.raises(ValueError, match='images of one size'):
        look(Noise('mixed'), Corners())
