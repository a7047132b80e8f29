# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a preprocessor makes of pixels, found out with a probe image."""
from typing import Any, Iterator, NamedTuple, Optional, Tuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmw2s.utils.rng import preserved_rng

__all__ = ['PixelMap']

# The second is the smaller and is looked at; its sizes are odd, so that
# whatever pads at all has to pad it.
_SIZES = ((45, 37), (33, 29))


class PixelMap(NamedTuple):
    """A map of each pixel: output[c] = scale[c] * input[order[c]] + shift[c].

    Attributes:
        order (tuple[int]): Which channel each channel is made of.
        scale (Tensor): Shape (C, 1, 1), float64.
        shift (Tensor): Shape (C, 1, 1), float64.
        pad (Tensor, optional): What is put beside an image that is smaller
            than its batch, shape (C, 1, 1). None for a map that does not pad.
    """
    order: Tuple[int, ...]
    scale: Tensor
    shift: Tensor
    pad: Optional[Tensor] = None

    @classmethod
    def of_norm(cls, mean: Any, std: Any, swapped: bool,
                channels: int) -> 'PixelMap':
        """That of a pipeline's ``Normalize``."""
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
        """That of a data preprocessor, whatever its class and its flags.

        Args:
            preprocessor (nn.Module): It is given two images of noise, not in
                training.
            channels (int): Those of the images.
            owner (str): Whose it is ("student", "teacher").

        Raises:
            ValueError: If it does not take images, or makes of them what is
                no such map.
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
        """Whether pixels are at most ordered otherwise."""
        off = torch.cat([self.scale - 1, self.shift]).abs()
        return off.max().item() < 1e-6

    def after(self, first: 'PixelMap') -> 'PixelMap':
        """The map that is ``first`` and then this one."""
        order = list(self.order)
        return PixelMap(
            tuple(first.order[i] for i in order),
            self.scale * first.scale[order],
            self.scale * first.shift[order] + self.shift, self.pad)

    def inverse(self) -> Optional['PixelMap']:
        """The map back; None where a channel is lost."""
        channels = range(max(self.order) + 1)
        if set(self.order) != set(channels) or not self.scale.all():
            return None
        at = [self.order.index(channel) for channel in channels]
        scale = 1 / self.scale[at]
        return PixelMap(tuple(at), scale, -self.shift[at] * scale)


def _probe(preprocessor: nn.Module, channels: int,
           whose: str) -> Tuple[Tensor, Tensor]:
    """Noise (2, C, h, w), and what becomes of it, padded."""
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
                # Past its hooks, and not in training, where it may augment.
                seen = preprocessor.forward(batch, False)['inputs']
            except Exception as error:  # of a class that may be the user's
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
    """The forms in which collate functions hand over a batch."""
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
    """The channel that gives what is seen (B, h, w), scale and shift."""
    seen = seen.flatten()
    for i in range(images.shape[1]):
        x = images[:, i].flatten()
        if len(x) != len(seen):
            return None
        scale = (((x - x.mean()) * (seen - seen.mean())).mean() /
                 x.var(correction=0))
        shift = seen.mean() - scale * x.mean()
        # Some compute in 16 bits.
        if (scale * x + shift - seen).abs().max() <= \
                5e-3 * (seen.max() - seen.min()):
            return i, scale.item(), shift.item()
    return None


def _padding(seen: Tensor, height: int, width: int) -> Optional[Tensor]:
    """What stands beside an image, shape (C, 1, 1); None where nothing."""
    beside = torch.cat(
        [seen[:, height:].flatten(1), seen[:, :height, width:].flatten(1)], 1)
    if beside.shape[1] == 0:
        return None
    return beside[:, -1].reshape(-1, 1, 1)
