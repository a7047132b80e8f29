# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import torch
from torch import nn

from mmw2s.utils.fields import check_integer, check_number
from .prediction_type import PREDICTION_TYPES, check_min_snr_gamma

__all__ = ['check_parts']


def check_parts(model: nn.Module) -> None:
    """Refuse a ``DenoisingDiffusion`` whose parts do not fit each other.

    Args:
        model (nn.Module): The model, completely built.

    Raises:
        ValueError: Says what does not fit and what to do.
    """
    config = model.denoiser.config
    if model.prediction_type not in PREDICTION_TYPES:
        raise ValueError('scheduler.prediction_type should be one of '
                         f'{", ".join(PREDICTION_TYPES)}, but got '
                         f'{model.prediction_type!r}')
    timesteps = len(model.alphas_cumprod)
    check_integer('sampling_steps', model.sampling_steps)
    if not 1 <= model.sampling_steps <= timesteps:
        raise ValueError(
            f'sampling_steps should be 1 to {timesteps}, the num_train_'
            f'timesteps of the scheduler, but is {model.sampling_steps}')
    check_min_snr_gamma('min_snr_gamma', model.min_snr_gamma)
    if model.num_classes is not None:
        check_integer('num_classes', model.num_classes, at_least=1)
    check_number('class_dropout', model.class_dropout)
    check_number('guidance_scale', model.guidance_scale, at_least=0)
    if config.sample_size is None:
        raise ValueError('denoiser.sample_size should be the size of the '
                         'images, but is not given')
    channels, *size = model.image_shape
    if config.out_channels not in (None, channels):
        raise ValueError(
            'denoiser.out_channels should be its in_channels '
            f'({channels}), but is {config.out_channels}: a learned '
            'variance is not supported')
    # Each level of a UNet but the first halves the size. A transformer cuts
    # the image into patches.
    levels = len(getattr(config, 'block_out_channels', [0]))
    factor = 2**(levels - 1) * getattr(config, 'patch_size', 1)
    if any(side % factor for side in size):
        raise ValueError(
            f'denoiser.sample_size should be a multiple of {factor}, '
            f'by which the denoiser makes its maps smaller, but is '
            f'{size[0]} x {size[1]}: pad the images or take fewer levels')
    if not 0 <= model.class_dropout < 1 or (model.class_dropout
                                            and not model.num_classes):
        raise ValueError(
            'class_dropout should be a share below 1 of the labels of a '
            f'model with num_classes, but is {model.class_dropout}')
    if model.guidance_scale != 1 and not model.class_dropout:
        raise ValueError('guidance_scale needs a model trained with '
                         'class_dropout, which is 0')
    embeds = model.num_classes
    if model.class_dropout:
        embeds += 1
    known = getattr(config, 'num_class_embeds', embeds)
    if known != embeds:
        raise ValueError(
            f'num_classes is {model.num_classes}, but denoiser.'
            f'num_class_embeds is {known}: give both the same number '
            '(the latter one more with class_dropout), or neither for an '
            'unconditional model')
    # A DiT adds the class that stands for "no class" itself.
    known = getattr(config, 'num_embeds_ada_norm', model.num_classes)
    if known != model.num_classes:
        raise ValueError(
            f'num_classes is {model.num_classes}, but denoiser.'
            f'num_embeds_ada_norm is {known}: give both the same number')
    for name in ('mean', 'std'):
        value = getattr(model.data_preprocessor, name, torch.zeros(1))
        if not value.is_meta and (value != 127.5).any():
            raise ValueError(
                f'data_preprocessor.{name} should be [127.5], which '
                'brings images of 8 bits to [-1, 1], but is '
                f'{value.flatten().tolist()}')
