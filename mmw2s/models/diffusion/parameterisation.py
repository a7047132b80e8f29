# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
r"""What a denoiser may predict, and how one kind is turned into another.

With a noise schedule :math:`\bar\alpha_t`, an image is made noisy as
:math:`x_t = a x_0 + s \epsilon`, where :math:`a = \sqrt{\bar\alpha_t}` and
:math:`s = \sqrt{1 - \bar\alpha_t}`. The kinds are named as in diffusers:
``'epsilon'`` is the noise, ``'sample'`` the clean image :math:`x_0`, and
``'v_prediction'`` :math:`v = a \epsilon - s x_0` (`Salimans and Ho
<https://arxiv.org/abs/2202.00512>`_).
"""
import math
from typing import Optional, Tuple

import torch
from torch import Tensor

from mmw2s.utils.fields import check_number

__all__ = [
    'KINDS', 'check_min_snr_gamma', 'convert', 'min_snr_weight', 'target_of'
]

KINDS = ('epsilon', 'sample', 'v_prediction')


def check_min_snr_gamma(name: str, value: Optional[float]) -> None:
    """Refuse what :func:`min_snr_weight` does not take.

    None stands for no weights, and infinity for a weight that cuts nothing.

    Args:
        name (str): The owner and its field.
        value (float, optional): What was given.

    Raises:
        ValueError: If it is not a number > 0.
    """
    if value is not None and not (isinstance(value, float)
                                  and value == math.inf):
        check_number(f'{name}, unless None or infinity,', value, above=0)


def target_of(kind: str, images: Tensor, noise: Tensor,
              alphas: Tensor) -> Tensor:
    """What a denoiser of that kind should predict.

    Args:
        kind (str): One of :data:`KINDS`.
        images (Tensor): Clean images, shape (B, C, H, W).
        noise (Tensor): The noise that was added, of the same shape.
        alphas (Tensor): Cumulative alphas of each image's timestep, shape
            (B, ).
    """
    if kind == 'epsilon':
        return noise
    if kind == 'sample':
        return images
    a, s = _signal_and_noise(alphas)
    return a * noise - s * images


def convert(prediction: Tensor, noisy: Tensor, alphas: Tensor, kind: str,
            to: str) -> Tensor:
    """Turn a prediction of one kind into one of another, in float32.

    Errors of a prediction are scaled by it: from an image or v to the noise
    by at most 1 / s, from the noise to an image by 1 / a, which is large
    where little is left of the image.

    Args:
        prediction (Tensor): Shape (B, C, H, W).
        noisy (Tensor): What the denoiser was given, of the same shape.
        alphas (Tensor): Cumulative alphas of each image's timestep, shape
            (B, ).
        kind (str): What ``prediction`` is, one of :data:`KINDS`.
        to (str): What it should become.
    """
    if kind == to:
        return prediction
    prediction, noisy = prediction.float(), noisy.float()
    a, s = _signal_and_noise(alphas)
    if kind == 'epsilon':
        noise, images = prediction, (noisy - s * prediction) / a
    elif kind == 'sample':
        noise, images = (noisy - a * prediction) / s, prediction
    else:
        noise = s * noisy + a * prediction
        images = a * noisy - s * prediction
    return target_of(to, images, noise, alphas)


def min_snr_weight(alphas: Tensor, gamma: float, kind: str) -> Tensor:
    r"""Min-SNR weights (`Hang et al. <https://arxiv.org/abs/2303.09556>`_).

    A squared error of the image counts :math:`\min(SNR, \gamma)`, with
    :math:`SNR = a^2 / s^2`; one of another kind as much as that comes to.

    Args:
        alphas (Tensor): Cumulative alphas of each image's timestep, shape
            (B, ).
        gamma (float): The paper's is 5.
        kind (str): Whose squared error is weighted, one of :data:`KINDS`.

    Returns:
        Tensor: Shape (B, 1, 1, 1).
    """
    snr = alphas / (1 - alphas)
    if kind == 'epsilon':  # 1 where nothing is left of the image
        weight = (gamma / snr).clamp(max=1)
    else:
        weight = snr.clamp(max=gamma)
    if kind == 'v_prediction':
        weight = weight / (snr + 1)
    return weight.view(-1, 1, 1, 1)


def _signal_and_noise(alphas: Tensor) -> Tuple[Tensor, Tensor]:
    alphas = alphas.view(-1, 1, 1, 1)
    return torch.sqrt(alphas), torch.sqrt(1 - alphas)
