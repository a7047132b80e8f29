# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from abc import ABCMeta, abstractmethod
from typing import NoReturn, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from mmw2s.utils.fields import check_number

AvgFactor = Union[float, Tensor]


class DistillationLoss(nn.Module, metaclass=ABCMeta):
    """What every distillation loss has in common; a subclass adds a formula.

    The teacher and the weights are detached. The formula is computed in
    float32 whatever the inputs are and whatever autocast surrounds the call
    (in float64 where the student is float64). Inputs without any element give
    0, connected to the student's graph.

    Args:
        loss_weight (float): Factor of the result. Defaults to 1.0.
        temperature (float, optional): The temperature used where a call gives
            none. None for a formula without a temperature, which ignores the
            one it is called with. Defaults to None.

    Raises:
        ValueError: If ``loss_weight`` is negative or not finite, or
            ``temperature`` is not positive.
    """

    #: Whether the formula needs the samples' labels.
    needs_target = False
    #: The one thing that it can compare, as a knowledge's ``gives`` has it;
    #: None for a formula that takes any.
    compares: Optional[str] = None

    def __init__(self,
                 loss_weight: float = 1.0,
                 temperature: Optional[float] = None) -> None:
        super().__init__()
        name = type(self).__name__
        check_number(f'{name}.loss_weight', loss_weight, at_least=0)
        if temperature is not None:
            check_number(f'{name}.temperature', temperature, above=0)
        self.loss_weight = loss_weight
        self.temperature = temperature

    def forward(self,
                student: Tensor,
                teacher: Tensor,
                weight: Optional[Tensor] = None,
                avg_factor: Optional[AvgFactor] = None,
                temperature: Union[float, Tensor, None] = None,
                target: Optional[Tensor] = None) -> Tensor:
        """Compare the student's tensor with the teacher's.

        Args:
            student (Tensor): Of the shape that the subclass documents.
            teacher (Tensor): Of the student's shape.
            weight (Tensor, optional): Weights or a mask, of a shape that the
                subclass documents. Defaults to None.
            avg_factor (float or Tensor, optional): What the sum is divided
                by. It counts things, so values below 1 are taken as 1.
                Defaults to None, the normaliser that the subclass documents.
            temperature (float or Tensor, optional): Replaces the one of the
                constructor in this call; 0-dim. Defaults to None.
            target (Tensor, optional): The labels, for a loss that
                ``needs_target``: class indices of the shape of the logits
                without their last axis, or soft labels of the logits' own
                shape, as mixup gives them. Defaults to None.

        Returns:
            Tensor: The loss, a float32 scalar (float64 if the student is).

        Raises:
            ValueError: If the shapes do not fit, the temperature is not
                positive, or labels are needed and not given.
        """
        if student.shape != teacher.shape:
            raise ValueError(
                f'{type(self).__name__} needs tensors of the same shape, but '
                f'got {tuple(student.shape)} from the student and '
                f'{tuple(teacher.shape)} from the teacher')
        if self.needs_target and target is None:
            raise ValueError(
                f'{type(self).__name__} needs one label a sample, but the '
                'knowledge gives none: use a loss without labels, such as '
                'KDLoss (or QualityFocalKDLoss for multi-label scores)')
        if self.temperature is None:
            temperature = None
        elif temperature is None:
            temperature = self.temperature
        elif not isinstance(temperature, Tensor):  # would wait for the device
            check_number('temperature', temperature, above=0)
        dtype = torch.promote_types(student.dtype, torch.float32)
        with torch.autocast(device_type=student.device.type, enabled=False):
            student = student.to(dtype)
            if student.numel() == 0:
                return student.sum() * 0
            teacher = teacher.detach().to(dtype)
            if weight is not None:
                weight = weight.detach().to(dtype)
            if isinstance(avg_factor, Tensor):
                avg_factor = avg_factor.detach().to(dtype).reshape(())
                avg_factor = avg_factor.clamp(min=1.)
            elif avg_factor is not None:
                avg_factor = max(avg_factor, 1.)
            labels = dict(target=target) if self.needs_target else {}
            loss = self.compute(student, teacher, weight, avg_factor,
                                temperature, **labels)
            return self.loss_weight * loss

    @abstractmethod
    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: Optional[float]) -> Tensor:
        """The formula, on checked non-empty tensors of one floating dtype.

        Where ``needs_target`` is set it takes ``target`` too.
        """


def expand_weight(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Broadcast a weight to a shape without copying it.

    Raises:
        ValueError: If it cannot be broadcast to that shape.
    """
    try:
        return weight.expand(shape)
    except RuntimeError:
        raise ValueError('weight should be broadcastable to the shape '
                         f'{tuple(shape)}, but has the shape '
                         f'{tuple(weight.shape)}') from None


def label_of_each_sample(target: Tensor, logits: Tensor) -> Tensor:
    """Class indices of labels that may be soft, without a copy to the host.

    Args:
        target (Tensor): Class indices (...), or soft labels (..., C), of
            which the class with the largest share is taken.
        logits (Tensor): Shape (..., C).

    Returns:
        Tensor: Class indices, shape (...).

    Raises:
        ValueError: If ``target`` has another shape.
    """
    if target.shape == logits.shape:
        return target.argmax(-1)
    if target.shape == logits.shape[:-1] and not target.is_floating_point():
        return target.long()
    raise ValueError(
        f'labels should be class indices of shape {tuple(logits.shape[:-1])} '
        f'or soft labels of shape {tuple(logits.shape)}, but got '
        f'{tuple(target.shape)} of {target.dtype}')


def refuse_map(x: Tensor) -> NoReturn:
    """Refuse what is not a feature map.

    Raises:
        ValueError: With its shape.
    """
    raise ValueError('feature maps should be of shape (B, C, H, W), but '
                     f'got {tuple(x.shape)}')
