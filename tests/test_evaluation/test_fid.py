# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import pickle

import pytest
import torch
from mmengine.registry import METRICS
from tiny_extractor import Corners, images

from mmw2s.evaluation.distances import frechet_distance
from mmw2s.evaluation.reference import moments
from mmw2s.records.targets import infer_rule
from mmw2s.utils import versions

REAL = dict(type='Noise')


def metric(num_samples=40, dims=3, **fields):
    return METRICS.build(
        dict(
            dict(
                type='FID',
                num_samples=num_samples,
                reference=REAL,
                extractor=dict(type='Corners', dims=dims)), **fields))


def score(fid, generated, batch_size=16, silent=0):
    """All metrics of a validation; the last `silent` samples have none."""
    samples = [dict(generated=image, sampler='ddim4') for image in generated]
    samples += [dict() for _ in range(silent)]
    for i in range(0, len(samples), batch_size):
        fid.process(None, samples[i:i + batch_size])
    return fid.evaluate(len(samples))


def test_identical_sets_are_at_no_distance():
    found = score(metric(), images())
    assert found == {'diffusion/fid_40_ddim4': pytest.approx(0, abs=1e-6)}


def test_value_is_the_distance_of_the_features():
    found, = score(metric(), images(seed=1, brightness=90)).values()
    made, real = (
        moments(Corners()(x))
        for x in (images(seed=1, brightness=90), images()))
    assert found == pytest.approx(frechet_distance(*made, *real))
    assert found > 1


def test_names_carry_measure_samples_and_sampler():
    pytest.importorskip('torchmetrics')
    found = score(
        metric(
            num_samples=1000,
            reference=dict(REAL, count=50),
            measures=('kid', 'fid')), images(1000))
    assert list(found) == ['diffusion/kid_1k_ddim4', 'diffusion/fid_1k_ddim4']
    assert {infer_rule(name) for name in found} == {'less'}


def test_samples_without_an_image_are_left_out():
    found = score(metric(), images(), silent=5)
    assert found['diffusion/fid_40_ddim4'] == pytest.approx(0, abs=1e-6)


def test_it_can_be_evaluated_again_and_copied():
    fid = metric()
    score(copy.deepcopy(fid), images())
    first, = score(fid, images(seed=1)).values()
    second, = score(fid, images(seed=1)).values()
    assert first == second


def test_what_ranks_exchange_are_the_features_and_no_more():
    fid = metric(dims=16)
    fid.process(None, [dict(generated=x, sampler='ddim4') for x in images()])
    whole, one = (len(pickle.dumps(x)) for x in (fid.results, torch.zeros(16)))
    assert whole < 40 * one


def test_an_image_that_a_sampler_has_repeated_counts_once():
    fid = metric()
    fid.process(None, [dict(generated=x, sampler='ddim4') for x in images()])
    fid.results.append(fid.results[0])
    found, = fid.evaluate(40).values()
    assert found == pytest.approx(0, abs=1e-6)


# -- refusals ----------------------------------------------------------------


@pytest.mark.parametrize('fields, message', [
    (dict(num_samples=3), r'num_samples should be 4 .* is 3: a covariance'),
    (dict(reference=dict(REAL, count=3)), r'reference should be 4 .* is 3'),
    (dict(num_samples=1, measures=('kid', )), 'should be 2 images or more'),
    (dict(measures=('is', )), r"name some of fid, kid, but got \('is'"),
    (dict(measures=()), 'some of fid, kid'),
    (dict(reference=dict(REAL, kind='float')), '8 bits.*leave normalization'),
    (dict(reference=dict(REAL, kind='random')), 'leave random transforms'),
    (dict(reference=dict(REAL, kind='mixed')),
     r'\(1, 3, 4\) and \(1, 4, 4\): bring them to that of the generated'),
])
def test_too_little_is_refused_when_it_is_built(fields, message):
    with pytest.raises(ValueError, match=message):
        metric(**fields)


def test_kid_does_with_few_samples():
    pytest.importorskip('torchmetrics')
    assert score(metric(3, measures=['kid']), images(3))


def test_no_generated_image_is_told_with_how_to_ask_for_them():
    with pytest.raises(ValueError, match=r'PackImage\(generate=40\)'):
        score(metric(), [], silent=5)


def test_another_number_of_images_than_announced_is_refused():
    with pytest.raises(ValueError, match='num_samples is 40, .* gives 39'):
        score(metric(), images(39))


def test_every_rank_refuses_a_wrong_number(monkeypatch):
    # None but the first one computes metrics.
    monkeypatch.setattr('mmengine.evaluator.metric.is_main_process',
                        lambda: False)
    with pytest.raises(ValueError, match='num_samples is 40, .* gives 39'):
        score(metric(), images(39))


def test_generated_images_of_another_size_are_refused_with_the_first_batch():
    fid = metric()
    with pytest.raises(ValueError, match=r'\(1, 8, 8\), but gives \(1, 4, 4'):
        fid.process(None, [
            dict(
                generated=torch.zeros(1, 8, 8, dtype=torch.uint8),
                sampler='ddim4')
        ])


def test_a_missing_package_is_told_before_training(monkeypatch):
    real = versions.importlib.util.find_spec
    monkeypatch.setattr(
        versions.importlib.util, 'find_spec', lambda name: None
        if name == 'torchmetrics' else real(name))
    assert metric()
    with pytest.raises(ImportError, match='KID needs .* torchmetrics'):
        metric(measures=('kid', ))
