# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Diffusion models, whose denoisers have rules of their own."""
import torch
from torch import nn

from .rules import CannotGrow, State, growth_rule, refuse_other_class
from .walk import grow_children

__all__ = ['grow_denoising']


@growth_rule('DenoisingDiffusion')
def grow_denoising(student: nn.Module, teacher: nn.Module) -> State:
    """Grow the denoiser, if it should compute what the teacher's does.

    Raises:
        CannotGrow: If it should not: it predicts something else, or its noise
            schedule is another.
    """
    refuse_other_class(student, teacher)
    if student.prediction_type != teacher.prediction_type:
        raise CannotGrow(
            f'its scheduler.prediction_type is {student.prediction_type}, the '
            f'teacher\'s {teacher.prediction_type}: make it the same')
    own, given = student.alphas_cumprod, teacher.alphas_cumprod
    if own.shape != given.shape or not torch.allclose(
            own, given.to(own), rtol=1e-4, atol=1e-6):
        raise CannotGrow('its noise schedule is not the teacher\'s: make all '
                         'fields of scheduler the same')
    if student.num_classes != teacher.num_classes:
        raise CannotGrow(f'its num_classes is {student.num_classes}, the '
                         f'teacher\'s {teacher.num_classes}: make it the same')
    return grow_children(student, teacher)
