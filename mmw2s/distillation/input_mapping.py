# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Showing a batch to the teacher in the teacher's own normalisation."""
import logging
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

__all__ = ['InputMapping']


class InputMapping:
    """Turns a batch preprocessed for the student into the teacher's own.

    Both see the very same augmented pixels; what differs is the
    normalisation: mean, standard deviation, channel order and the value that
    pads an image to the batch's size. That size stays the student's, whatever
    the teacher's own would be padded to: boxes have the same coordinates and
    maps the same sizes in both.

    Args:
        student (nn.Module): The student's data preprocessor.
        teacher (nn.Module): The teacher's.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        if hasattr(student, 'mean') and not hasattr(teacher, 'mean'):
            print_log(
                'The student\'s data_preprocessor normalises, the teacher\'s '
                'does not, so the teacher is given pictures of 0 to 255. If '
                'it was trained on others, put its data_preprocessor into '
                'teacher.config, in the model or beside it.',
                logger='current',
                level=logging.WARNING)
        mean_s, std_s, swap_s, self._pad_s = _normalisation(student)
        mean_t, std_t, swap_t, self._pad_t = _normalisation(teacher)
        self._flip = swap_s != swap_t
        if self._flip:
            mean_s, std_s = mean_s.flip(0), std_s.flip(0)
        self._scale = std_s / std_t
        self._shift = (mean_s - mean_t) / std_t
        self.is_identity = (not self._flip and self._pad_s == self._pad_t
                            and bool(torch.all(self._scale == 1))
                            and bool(torch.all(self._shift == 0)))

    def __call__(self, inputs: Tensor, data_samples: Any) -> Tensor:
        """Map the batch.

        Args:
            inputs (Tensor): Shape (B, C, H, W), normalised for the student.
            data_samples (list, optional): With ``img_shape`` and
                ``batch_input_shape``, where images were padded to a common
                size.

        Returns:
            Tensor: Shape (B, C, H, W), normalised for the teacher.
        """
        if self.is_identity:
            return inputs
        mapped = inputs.flip(1) if self._flip else inputs
        if self._scale.device != inputs.device:  # once: the device waits
            self._scale = self._scale.to(inputs.device)
            self._shift = self._shift.to(inputs.device)
        mapped = mapped * self._scale.to(inputs.dtype) + \
            self._shift.to(inputs.dtype)
        for image, sample in zip(mapped, data_samples or ()):
            # Preprocessors that pad note the size of the batch; without it
            # the image's may be that from before its augmentation.
            shape = getattr(sample, 'img_shape', None)
            if shape is not None and 'batch_input_shape' in sample and \
                    shape[:2] != mapped.shape[2:]:
                image[:, shape[0]:] = self._pad_t
                image[:, :, shape[1]:] = self._pad_t
        return mapped


def _normalisation(preprocessor: nn.Module):
    """Mean, std, whether channels are swapped, and the padding's value."""
    mean = getattr(preprocessor, 'mean', None)
    std = getattr(preprocessor, 'std', None)
    one = torch.ones(1, 1, 1)
    mean = one * 0 if mean is None else mean.detach().float().cpu()
    std = one if std is None else std.detach().float().cpu()
    swapped = getattr(preprocessor, '_channel_conversion',
                      getattr(preprocessor, 'to_rgb', False))
    # Grey images have one value for all channels and nothing to swap.
    mean, std = (
        v.reshape(-1, 1, 1).expand(max(mean.numel(), std.numel()), 1, 1)
        for v in (mean, std))
    return mean, std, bool(swapped), getattr(preprocessor, 'pad_value', 0)
