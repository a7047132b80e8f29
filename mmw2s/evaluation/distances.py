# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Distances between two sets of features."""
import numpy as np
import torch
from torch import Tensor

from mmw2s.utils.versions import require

__all__ = ['frechet_distance', 'kernel_distance']


def frechet_distance(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray,
                     cov_b: np.ndarray) -> float:
    r"""Squared Frechet distance of two Gaussians, in float64.

    .. math::
        |\mu_a - \mu_b|^2 + tr(\Sigma_a) + tr(\Sigma_b)
        - 2\,tr\big((\Sigma_a^{1/2} \Sigma_b \Sigma_a^{1/2})^{1/2}\big)

    Args:
        mean_a (np.ndarray): Mean of the first, shape (D, ).
        cov_a (np.ndarray): Covariance of the first, shape (D, D).
        mean_b (np.ndarray): Mean of the second, shape (D, ).
        cov_b (np.ndarray): Covariance of the second, shape (D, D).

    Returns:
        float: The squared distance, at least 0.
    """
    from scipy.linalg import eigh
    values, vectors = eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    values = eigh(root @ cov_b @ root, eigvals_only=True)
    overlap = np.sqrt(values.clip(min=0)).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + \
        np.trace(cov_b) - 2 * overlap
    return float(max(distance, 0.))  # below 0 only by rounding


def kernel_distance(generated: Tensor,
                    real: Tensor,
                    subsets: int = 100,
                    subset_size: int = 1000,
                    seed: int = 0) -> float:
    """Kernel Inception distance (`KID <https://arxiv.org/abs/1801.01401>`_).

    The unbiased estimate of the squared maximum mean discrepancy with the
    kernel (x y / D + 1)^3, averaged over random subsets.

    Args:
        generated (Tensor): Features of generated images, shape (N, D).
        real (Tensor): Features of real images, shape (M, D).
        subsets (int): Number of subsets. Defaults to 100.
        subset_size (int): Features in a subset, if there are as many.
            Defaults to 1000.
        seed (int): Seed of the subsets. Defaults to 0.

    Returns:
        float: The distance; below 0 is possible, as the estimate is unbiased.
    """
    require('torchmetrics', 'diffusion', 'KID')
    from torchmetrics.image.kid import poly_mmd
    size = min(subset_size, len(generated), len(real))
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        a, b = (
            features[torch.randperm(len(features),
                                    generator=generator)[:size]].double()
            for features in (generated, real))
        values.append(poly_mmd(a, b).item())
    return sum(values) / len(values)
