# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How far two sets of features are apart."""
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
        mean_a (np.ndarray): Shape (D, ).
        cov_a (np.ndarray): Shape (D, D).
        mean_b (np.ndarray): Shape (D, ).
        cov_b (np.ndarray): Shape (D, D).
    """
    from scipy.linalg import eigh
    values, vectors = eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    values = eigh(root @ cov_b @ root, eigvals_only=True)
    overlap = np.sqrt(values.clip(min=0)).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + \
        np.trace(cov_b) - 2 * overlap
    return float(max(distance, 0.))  # below 0 only by rounding


def kernel_distance(ours: Tensor,
                    theirs: Tensor,
                    subsets: int = 100,
                    subset_size: int = 1000,
                    seed: int = 0) -> float:
    """Kernel Inception distance (`KID <https://arxiv.org/abs/1801.01401>`_).

    The unbiased squared MMD with the kernel (x y / D + 1)^3, the mean over
    random subsets.

    Args:
        ours (Tensor): Features, shape (N, D).
        theirs (Tensor): Features, shape (M, D).
        subsets (int): Their number. Defaults to 100.
        subset_size (int): Features a subset, at most N and M.
            Defaults to 1000.
        seed (int): Of the subsets. Defaults to 0.
    """
    require('torchmetrics', 'diffusion', 'KID')
    from torchmetrics.image.kid import poly_mmd
    size = min(subset_size, len(ours), len(theirs))
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        a, b = (
            features[torch.randperm(len(features),
                                    generator=generator)[:size]].double()
            for features in (ours, theirs))
        values.append(poly_mmd(a, b).item())
    return sum(values) / len(values)
