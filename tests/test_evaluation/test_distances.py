# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch

from mmw2s.evaluation.distances import frechet_distance, kernel_distance
from mmw2s.evaluation.reference import moments


def features(seed, count=500, dims=16, shift=0.):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dims, dims, generator=generator)
    return torch.randn(count, dims, generator=generator) @ mixing + shift


def test_frechet_distance_of_identical_sets_is_zero():
    a = moments(features(0))
    assert frechet_distance(*a, *a) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_plain_gaussians_is_known():
    # |m|^2 + sum (s_a - s_b)^2 where the covariances are diagonal.
    mean, zero = np.array([3., 4.]), np.zeros(2)
    a, b = np.diag([1., 4.]), np.diag([9., 16.])
    assert frechet_distance(zero, a, mean, b) == pytest.approx(25 + 4 + 4)
    assert frechet_distance(mean, b, zero, a) == pytest.approx(33)


def test_frechet_distance_is_that_of_torchmetrics():
    fid = pytest.importorskip('torchmetrics.image.fid')

    class Identity(torch.nn.Identity):
        num_features = 16

    reference = fid.FrechetInceptionDistance(
        Identity(), input_img_size=(1, 4, 4)).set_dtype(torch.float64)
    a, b = features(0), features(1, shift=1.)
    reference.update(a.double(), real=True)
    reference.update(b.double(), real=False)
    distance = frechet_distance(*moments(a), *moments(b))
    assert distance == pytest.approx(reference.compute().item(), rel=1e-4)


def test_a_covariance_without_full_rank_does_no_harm():
    a = features(0)
    a[:, 3] = a[:, 2]
    a[:, 5] = 0
    own = moments(a)
    assert frechet_distance(*own, *own) == pytest.approx(0, abs=1e-5)


def plain_kid(x, y):
    """The unbiased estimate, pair by pair."""

    def k(a, b):
        return (a @ b / len(a) + 1)**3

    x, y = x.double().numpy(), y.double().numpy()
    n, m = len(x), len(y)
    same = sum(
        k(a, b) for i, a in enumerate(x)
        for j, b in enumerate(x) if i != j) / (
            n * (n - 1))
    same += sum(
        k(a, b) for i, a in enumerate(y)
        for j, b in enumerate(y) if i != j) / (
            m * (m - 1))
    return same - 2 * np.mean([k(a, b) for a in x for b in y])


def test_kernel_distance_is_the_unbiased_estimate():
    pytest.importorskip('torchmetrics')
    a, b = features(0, 12, 4), features(1, 12, 4, shift=1.)
    assert kernel_distance(a, b, subsets=1) == pytest.approx(plain_kid(a, b))


def test_kernel_distance_averages_over_subsets_that_follow_from_the_seed():
    pytest.importorskip('torchmetrics')
    a, b = features(0), features(0) + .01
    found = [
        kernel_distance(a, b, subsets=n, subset_size=50, seed=s)
        for n, s in ((4, 0), (4, 0), (4, 1), (1, 0))
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3
