# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Converts a batch from the student's normalization to the teacher's."""
import logging
from typing import Any, List, Optional, Sequence, Tuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from .pipelines import Pipelines, chain
from .pixel_map import PixelMap

__all__ = ['InputMapping']


class InputMapping:
    """Converts a batch that was preprocessed for the student.

    Both models see the same augmented pixels. What differs is the
    normalization: mean, standard deviation, channel order, and the value that
    pads an image to the batch's size. What a preprocessor does to pixels is
    measured with images of noise, so its class and its flags do not matter.

    The batch keeps the student's size, whatever size the teacher's own
    preprocessor would pad it to. So boxes have the same coordinates and maps
    the same sizes in both models.

    Args:
        student (nn.Module): The student's data preprocessor.
        teacher (nn.Module): The teacher's data preprocessor.
        pipelines (Pipelines): Normalization in the pipelines before them.
            Defaults to none.
        channels (int): Number of channels of an image, used if neither
            preprocessor has a mean for each channel. Defaults to 3.

    Raises:
        ValueError: If what a preprocessor does to an image cannot be
            measured or cannot be undone.

    Attributes:
        is_identity (bool): Whether both models see the same.
        way (PixelMap, optional): From what the student sees of a pixel to
            what the teacher sees. None if the preprocessors are equal.

    Examples:
        >>> mapping = InputMapping(student.data_preprocessor,
        >>>                        teacher.model.data_preprocessor)
        >>> teacher_inputs = mapping(inputs, data_samples)
    """

    def __init__(self,
                 student: nn.Module,
                 teacher: nn.Module,
                 pipelines: Pipelines = Pipelines(),
                 channels: int = 3) -> None:
        self._preprocessors = student, teacher
        self._norms = pipelines.in_training()
        self._ready_for: Optional[tuple] = None
        self._sizes: List[Sequence[int]] = []
        self._handle: Any = None
        self.way: Optional[PixelMap] = None
        self.is_identity = not any(self._norms) and _equal(student, teacher)
        if self.is_identity:
            return
        means = [
            getattr(module, 'mean', None) for module in (student, teacher)
        ]
        most = max(m.numel() if isinstance(m, Tensor) else 0 for m in means)
        student_map, teacher_map = self._maps(most if most > 1 else channels)
        self.way = way = _between(student_map, teacher_map)
        self.is_identity = _is_identity(way, student_map.pad)
        if not _keeps_pad(way, student_map.pad):
            self._handle = student.register_forward_pre_hook(
                torch.compiler.disable(self._note_sizes))
        if not pipelines.is_teachers_known and teacher_map.keeps_values and \
                not student_map.keeps_values:
            print_log(
                'The student\'s data_preprocessor normalizes, the teacher\'s '
                'does not, so the teacher is given images of 0 to 255. If '
                'it was trained on others, put its data_preprocessor into '
                'teacher.config, in the model or beside it.',
                logger='current',
                level=logging.WARNING)

    def __call__(self, inputs: Tensor, data_samples: Any) -> Tensor:
        """Map the batch.

        Args:
            inputs (Tensor): Shape (B, C, H, W), normalized for the student.
            data_samples (list, optional): Data samples, with ``img_shape``
                and ``batch_input_shape`` if images were padded to a common
                size.

        Returns:
            Tensor: Shape (B, C, H, W), normalized for the teacher.

        Raises:
            ValueError: In the first batch, if its pixels do not have the
                range that the teacher's preprocessor expects.
        """
        if self.is_identity:
            return inputs
        if not inputs.is_floating_point():
            inputs = inputs.float()
        if self._ready_for != (inputs.shape[1], inputs.device, inputs.dtype):
            self._prepare(inputs, data_samples)
        mapped = inputs
        if self._flips:
            mapped = mapped.flip(1)
        elif self._order is not None:
            mapped = mapped.index_select(1, self._order)
        mapped = mapped * self._scale + self._shift
        if self._pad is not None:
            samples = data_samples or [None] * len(mapped)
            sizes = self._sizes if len(self._sizes) == len(mapped) else \
                [mapped.shape[2:]] * len(mapped)
            for image, sample, size in zip(mapped, samples, sizes):
                height, width = _inside(sample, size)
                image[:, height:] = self._pad
                image[:, :, width:] = self._pad
        return mapped

    def _note_sizes(self, module: nn.Module, args: tuple) -> None:
        """Keep the sizes of the images before they are padded."""
        inputs = args[0].get('inputs') if isinstance(args[0], dict) else None
        is_list = isinstance(inputs, (list, tuple, Tensor))
        self._sizes = [
            image.shape[-2:] for image in inputs if isinstance(image, Tensor)
        ] if is_list else []

    def remove(self) -> None:
        """Take its hook off the student, if it has one."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _maps(self, channels: int) -> Tuple[PixelMap, PixelMap]:
        """From a raw image to what the student and the teacher see."""
        student_map, teacher_map = (PixelMap.of_preprocessor(
            preprocessor, channels, owner).after(chain(
                norms, channels)) for owner, preprocessor, norms in zip((
                    'student', 'teacher'), self._preprocessors, self._norms))
        return student_map, teacher_map

    def _prepare(self, inputs: Tensor, data_samples: Any) -> None:
        """Bring the constants to the device, once: the host waits for it."""
        student_map, teacher_map = self._maps(inputs.shape[1])
        _refuse_other_range(inputs, data_samples, student_map, teacher_map)
        way = _between(student_map, teacher_map)
        as_they_are = list(range(len(student_map.order)))
        order = list(way.order)
        self._flips = order == as_they_are[::-1] != as_they_are
        self._order = None if self._flips or order == as_they_are else \
            torch.tensor(order, device=inputs.device)
        self._scale, self._shift = way.scale.to(inputs), way.shift.to(inputs)
        # None where the student's padding becomes the teacher's.
        self._pad = None if _keeps_pad(way,
                                       student_map.pad) else way.pad.to(inputs)
        self._ready_for = inputs.shape[1], inputs.device, inputs.dtype


def _between(student_map: PixelMap, teacher_map: PixelMap) -> PixelMap:
    """From what the student sees of an image to what the teacher sees."""
    back = student_map.inverse()
    if back is None or max(teacher_map.order) >= len(back.order):
        raise ValueError(
            'the student\'s data_preprocessor leaves a channel out that the '
            'teacher\'s needs: give the student one that keeps them, or use '
            'a teacher of the same channels')
    return teacher_map.after(back)


def _keeps_pad(way: PixelMap, pad: Tensor) -> bool:
    return torch.allclose(
        way.scale * pad[list(way.order)] + way.shift,
        way.pad,
        rtol=1e-5,
        atol=1e-5)


def _is_identity(way: PixelMap, pad: Tensor) -> bool:
    return way.keeps_values and way.order == tuple(range(len(pad))) and \
        _keeps_pad(way, pad)


def _inside(sample: Any, size: Sequence[int]) -> Sequence[int]:
    """Height and width of the image within its padding."""
    # Preprocessors that pad note the batch's size, or the padding. Without
    # either, img_shape may be from before the augmentation.
    if getattr(sample, 'img_shape',
               None) is not None and ('batch_input_shape' in sample
                                      or 'padding_size' in sample):
        return sample.img_shape[:2]
    return size


def _equal(student: nn.Module, teacher: nn.Module) -> bool:
    """Whether the two do the same, by class, attributes and buffers."""
    if type(student) is not type(teacher):
        return False
    states = []
    for module in (student, teacher):
        if any(True for _ in module.children()):
            return False  # children (batch augmentations) are not compared
        state = {
            key: value
            for key, value in vars(module).items()
            if key not in ('training', '_device', '_buffers')
        }
        state.update(
            (name, value.tolist()) for name, value in module.named_buffers())
        states.append(state)
    try:
        return bool(states[0] == states[1])
    except (RuntimeError, ValueError):  # arrays among them
        return False


def _refuse_other_range(inputs: Tensor, data_samples: Any,
                        student_map: PixelMap, teacher_map: PixelMap) -> None:
    """Refuse images that a data set has normalized by itself.

    Called in the first batch alone: it makes the host wait for the device.
    """
    if teacher_map.keeps_values or inputs.is_meta:
        return  # nothing is known about the range that it expects
    scale, mean = 1 / teacher_map.scale, -teacher_map.shift / teacher_map.scale
    size = max(scale.abs().max().item(), mean.abs().max().item())
    back = student_map.inverse()
    raw = inputs.double().cpu()[:, list(back.order)] * back.scale + back.shift
    samples = data_samples or [None] * len(raw)
    pixels = torch.cat([
        image[:, :height, :width].flatten()
        for image, (height, width) in zip(raw, (_inside(sample, raw.shape[2:])
                                                for sample in samples))
    ])
    lowest, highest = pixels.min().item(), pixels.max().item()
    # Augmented images may leave the range 0 to 255 a little, and dark ones use
    # a part of it. Normalized images are mostly within -3 to 3, or have many
    # values below 0. Only a teacher whose mean is below 0 (as for computed
    # tomography) expects so many of those.
    is_normalized = lowest < highest <= 4 or \
        mean.min() >= 0 and (pixels < -20).double().mean() > 0.1
    if size > 4 and is_normalized or size < 1.5 and highest > 60:
        raise ValueError(
            'the images that reach the student\'s data_preprocessor go from '
            f'{lowest:.1f} to {highest:.1f}, but the teacher\'s is for '
            f'others: it subtracts {_listed(mean)} and divides by '
            f'{_listed(scale)}. '
            'Where the data set normalizes by itself, give the teacher mean '
            'and std of its values (teacher.cfg_options, '
            '"model.data_preprocessor"), or have the data set give images of '
            '0 to 255 and both models normalize in their data_preprocessor')


def _listed(values: Tensor) -> str:
    return ', '.join(f'{v:.4g}' for v in values.flatten().tolist())
