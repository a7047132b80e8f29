# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
r"""The types of a denoiser's prediction, and the conversion between them.

A noise schedule, ``alphas_cumprod``, has one value :math:`\bar\alpha_t` for
each timestep. With :math:`a = \sqrt{\bar\alpha_t}` and
:math:`s = \sqrt{1 - \bar\alpha_t}`, a clean image :math:`x_0` and the noise
:math:`\epsilon` make the noisy image :math:`x_t = a x_0 + s \epsilon`.

A denoiser is given :math:`x_t` and predicts one of three things, named as in
diffusers: ``'epsilon'`` is :math:`\epsilon`, ``'sample'`` is :math:`x_0`, and
``'v_prediction'`` is :math:`v = a \epsilon - s x_0` (`Salimans and Ho
<https://arxiv.org/abs/2202.00512>`_).
"""
import math
from typing import Optional, Tuple

import torch
from torch import Tensor

from mmw2s.utils.fields import check_number

__all__ = [
    'PREDICTION_TYPES', 'check_min_snr_gamma', 'convert', 'min_snr_weight',
    'target_of'
]

PREDICTION_TYPES = ('epsilon', 'sample', 'v_prediction')


def check_min_snr_gamma(name: str, value: Optional[float]) -> None:
    """Refuse a value that is no ``gamma`` of :func:`min_snr_weight`.

    None means no weights. Infinity means weights without an upper bound.

    Args:
        name (str): The owner and its field.
        value (float, optional): The value.

    Raises:
        ValueError: If it is not a number > 0.
    """
    if value is not None and not (isinstance(value, float)
                                  and value == math.inf):
        check_number(f'{name}, unless None or infinity,', value, above=0)


def target_of(prediction_type: str, images: Tensor, noise: Tensor,
              alphas_cumprod: Tensor) -> Tensor:
    """The target of a denoiser of this type.

    Args:
        prediction_type (str): One of :data:`PREDICTION_TYPES`.
        images (Tensor): Clean images, shape (B, C, H, W).
        noise (Tensor): The noise that was added, shape (B, C, H, W).
        alphas_cumprod (Tensor): Values at the images' timesteps, shape (B, ).

    Returns:
        Tensor: Shape (B, C, H, W).
    """
    if prediction_type == 'epsilon':
        return noise
    if prediction_type == 'sample':
        return images
    a, s = _signal_and_noise(alphas_cumprod)
    return a * noise - s * images


def convert(prediction: Tensor, noisy: Tensor, alphas_cumprod: Tensor,
            prediction_type: str, to: str) -> Tensor:
    """Convert a prediction of one type to another type, in float32.

    This scales the error of the prediction: from v to the noise by a, from
    the image to the noise by a / s, and from the noise to the image by s / a.
    The last is large where little is left of the image.

    Args:
        prediction (Tensor): Shape (B, C, H, W).
        noisy (Tensor): The input of the denoiser, shape (B, C, H, W).
        alphas_cumprod (Tensor): Values at the images' timesteps, shape (B, ).
        prediction_type (str): Type of ``prediction``, one of
            :data:`PREDICTION_TYPES`.
        to (str): Type of the result.

    Returns:
        Tensor: Shape (B, C, H, W).
    """
    if prediction_type == to:
        return prediction
    prediction, noisy = prediction.float(), noisy.float()
    a, s = _signal_and_noise(alphas_cumprod)
    if prediction_type == 'epsilon':
        noise, images = prediction, (noisy - s * prediction) / a
    elif prediction_type == 'sample':
        noise, images = (noisy - a * prediction) / s, prediction
    else:
        noise = s * noisy + a * prediction
        images = a * noisy - s * prediction
    return target_of(to, images, noise, alphas_cumprod)


def min_snr_weight(alphas_cumprod: Tensor, gamma: float,
                   prediction_type: str) -> Tensor:
    r"""Min-SNR weights (`Hang et al. <https://arxiv.org/abs/2303.09556>`_).

    With the signal-to-noise ratio :math:`SNR = a^2 / s^2`, the squared error
    of the image has the weight :math:`\min(SNR, \gamma)`. The squared error
    of another prediction type has the weight that gives the same product.

    Args:
        alphas_cumprod (Tensor): Values at the images' timesteps, shape (B, ).
        gamma (float): Largest weight of an image's error; 5 in the paper.
        prediction_type (str): Whose squared error is weighted, one of
            :data:`PREDICTION_TYPES`.

    Returns:
        Tensor: Shape (B, 1, 1, 1).
    """
    snr = alphas_cumprod / (1 - alphas_cumprod)
    if prediction_type == 'epsilon':
        # Not min(snr, gamma) / snr: that is 0 / 0 where no image is left.
        weight = (gamma / snr).clamp(max=1)
    else:
        weight = snr.clamp(max=gamma)
    if prediction_type == 'v_prediction':
        weight = weight / (snr + 1)
    return weight.view(-1, 1, 1, 1)


def _signal_and_noise(alphas_cumprod: Tensor) -> Tuple[Tensor, Tensor]:
    """The factors a and s of image and noise, shape (B, 1, 1, 1)."""
    alphas_cumprod = alphas_cumprod.view(-1, 1, 1, 1)
    return torch.sqrt(alphas_cumprod), torch.sqrt(1 - alphas_cumprod)
