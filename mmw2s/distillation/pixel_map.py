# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a data preprocessor does to pixels, measured with images of noise.

A measurement works for all classes and flags of preprocessors, also for those
of a user's own.
"""
from typing import Any, Iterator, NamedTuple, Optional, Tuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmw2s.utils.rng import preserved_rng

__all__ = ['PixelMap']

# Sizes of the two images. The map is measured on the second image, which is
# smaller and has odd sizes, so that every preprocessor that pads will pad it.
_SIZES = ((45, 37), (33, 29))


class PixelMap(NamedTuple):
    """A map of each pixel: output[c] = scale[c] * input[order[c]] + shift[c].

    Attributes:
        order (tuple[int]): The input channel of each output channel.
        scale (Tensor): Shape (C, 1, 1), float64.
        shift (Tensor): Shape (C, 1, 1), float64.
        pad (Tensor, optional): Padding value for an image that is smaller than
            its batch, shape (C, 1, 1). None for a map that does not pad.
    """
    order: Tuple[int, ...]
    scale: Tensor
    shift: Tensor
    pad: Optional[Tensor] = None

    @classmethod
    def of_norm(cls, mean: Any, std: Any, swapped: bool,
                channels: int) -> 'PixelMap':
        """The map of a pipeline's ``Normalize``.

        Args:
            mean (Sequence[float]): Means, one or one for each channel.
            std (Sequence[float]): Standard deviations, likewise.
            swapped (bool): Whether the order of the channels is reversed.
            channels (int): Number of channels.

        Raises:
            ValueError: If there is another number of means or deviations.
        """
        mean, std = (
            torch.as_tensor(v, dtype=torch.float64).reshape(-1, 1, 1)
            for v in (mean, std))
        if {len(mean), len(std)} - {1, channels}:
            raise ValueError(
                f'a Normalize of the pipeline has {len(mean)} means and '
                f'{len(std)} standard deviations, but images of {channels} '
                'channels are expected')
        order = tuple(range(channels))
        mean, std = (v.expand(channels, 1, 1) for v in (mean, std))
        return cls(order[::-1] if swapped else order, 1 / std, -mean / std)

    @classmethod
    def of_preprocessor(cls, preprocessor: nn.Module, channels: int,
                        owner: str) -> 'PixelMap':
        """The map of a data preprocessor, measured on two images of noise.

        Args:
            preprocessor (nn.Module): The preprocessor; it is called with
                ``training=False``.
            channels (int): Number of channels of an image.
            owner (str): Its owner, "student" or "teacher", for messages.

        Raises:
            ValueError: If it does not accept images, or does more than such a
                map.
        """
        whose = (f'{owner}\'s data_preprocessor '
                 f'({type(preprocessor).__name__})')
        images, seen = _probe(preprocessor, channels, whose)
        height, width = images.shape[2:]
        inside = seen[:, :, :height, :width]
        fits = [_fit(images, inside[:, c]) for c in range(seen.shape[1])]
        if inside.shape[2:] != images.shape[2:] or None in fits:
            raise ValueError(
                f'the {whose} does more to an image than to order, scale and '
                'shift its channels, so that it is not known what the teacher '
                'should be given: give student and teacher the same '
                'data_preprocessor, or move what it does into the pipeline')
        order, *factors = zip(*fits)
        pad = _padding(seen[1], height, width)
        if pad is None:
            value = getattr(preprocessor, 'pad_value',
                            getattr(preprocessor, 'pad_val', 0))
            pad = seen.new_full((len(order), 1, 1), value)
        scale, shift = (seen.new_tensor(f).reshape(-1, 1, 1) for f in factors)
        return cls(tuple(order), scale, shift, pad)

    @property
    def keeps_values(self) -> bool:
        """Whether the map changes nothing but the order of channels."""
        off = torch.cat([self.scale - 1, self.shift]).abs()
        return off.max().item() < 1e-6

    def after(self, first: 'PixelMap') -> 'PixelMap':
        """The map that applies ``first`` and then this one."""
        order = list(self.order)
        return PixelMap(
            tuple(first.order[i] for i in order),
            self.scale * first.scale[order],
            self.scale * first.shift[order] + self.shift, self.pad)

    def inverse(self) -> Optional['PixelMap']:
        """The inverse map; None if a channel is lost."""
        channels = range(max(self.order) + 1)
        if set(self.order) != set(channels) or not self.scale.all():
            return None
        at = [self.order.index(channel) for channel in channels]
        scale = 1 / self.scale[at]
        return PixelMap(tuple(at), scale, -self.shift[at] * scale)


def _probe(preprocessor: nn.Module, channels: int,
           whose: str) -> Tuple[Tensor, Tensor]:
    """Noise (2, C, h, w), and the output (2, C, H, W), which may be padded."""
    generator = torch.Generator().manual_seed(0)
    large, small = (
        torch.randint(
            0, 256, (channels, *size), dtype=torch.uint8, generator=generator)
        for size in _SIZES)
    cut = large[:, :small.shape[1], :small.shape[2]]
    errors = []
    with preserved_rng(), torch.no_grad():
        for batch in _batches(large, small, torch.stack([cut, small])):
            try:
                # `forward` runs without the module's hooks, and without
                # augmentations, which belong to training.
                seen = preprocessor.forward(batch, False)['inputs']
            except Exception as error:  # a user's class may raise anything
                errors.append(f'{type(error).__name__}: {error}')
                continue
            if isinstance(seen, Tensor) and seen.dim() == 4 and len(seen) == 2:
                given = torch.stack([cut, small])
                return given.double(), seen.double().cpu()
            errors.append('it gives no images of shape (B, C, H, W)')
    raise ValueError(
        f'the {whose} cannot be tried on images of {channels} channels, so '
        f'that it is not known what it makes of them ({errors[0]}). Give '
        'student and teacher the same data_preprocessor, or one that gives '
        '"inputs" of shape (B, C, H, W)')


def _batches(large: Tensor, small: Tensor, stacked: Tensor) -> Iterator[dict]:
    """The forms of a batch that collate functions give."""
    for with_samples in (False, True):
        for inputs in ([large, small], stacked):
            samples = None
            if with_samples:
                samples = [
                    BaseDataElement(
                        metainfo=dict(
                            img_shape=tuple(x.shape[-2:]),
                            ori_shape=tuple(x.shape[-2:]))) for x in inputs
                ]
            yield dict(inputs=inputs, data_samples=samples)


def _fit(images: Tensor, seen: Tensor) -> Optional[Tuple[int, float, float]]:
    """Fit one output channel (B, h, w) to the images (B, C, h, w).

    Returns:
        tuple, optional: Input channel, scale and shift; None if none fits.
    """
    seen = seen.flatten()
    for i in range(images.shape[1]):
        x = images[:, i].flatten()
        if len(x) != len(seen):
            return None
        scale = (((x - x.mean()) * (seen - seen.mean())).mean() /
                 x.var(correction=0))
        shift = seen.mean() - scale * x.mean()
        # The tolerance is for preprocessors that compute in 16 bits.
        if (scale * x + shift - seen).abs().max() <= \
                5e-3 * (seen.max() - seen.min()):
            return i, scale.item(), shift.item()
    return None


def _padding(seen: Tensor, height: int, width: int) -> Optional[Tensor]:
    """Padding value beside an image, shape (C, 1, 1); None without padding."""
    beside = torch.cat(
        [seen[:, height:].flatten(1), seen[:, :height, width:].flatten(1)], 1)
    if beside.shape[1] == 0:
        return None
    return beside[:, -1].reshape(-1, 1, 1)
