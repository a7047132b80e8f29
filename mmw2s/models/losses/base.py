# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from abc import ABCMeta, abstractmethod
from typing import Optional, Sequence, Union

import torch
from torch import Tensor, nn

from mmw2s.utils.fields import check_number

AvgFactor = Union[float, Tensor]


class DistillationLoss(nn.Module, metaclass=ABCMeta):
    """Base class of the distillation losses; a subclass adds a formula.

    Teacher and weights are detached. The formula is computed in float32, or
    in float64 if the student's tensor is float64, even under autocast. For
    tensors without elements the loss is 0, connected to the student's graph.

    Args:
        loss_weight (float): Factor of the result. Defaults to 1.0.
        temperature (float, optional): Temperature, used if a call gives none.
            None is for a formula without a temperature: then the temperature
            of a call is ignored too. Defaults to None.

    Raises:
        ValueError: If ``loss_weight`` is negative or not finite, or
            ``temperature`` is not positive.

    Examples:
        >>> class L1KDLoss(DistillationLoss):
        >>>
        >>>     def compute(self, student, teacher, weight, avg_factor,
        >>>                 temperature):
        >>>         return (student - teacher).abs().mean()
    """

    #: Whether the formula needs labels.
    needs_target = False
    #: The only kind of knowledge that the formula is for, a value of
    #: ``Knowledge.gives``. None for a formula that takes every kind.
    compares: Optional[str] = None
    #: Whether a channel is compared with the same channel of the teacher's
    #: maps. Otherwise their numbers of channels, the second dimension, may
    #: differ.
    compares_channels = True
    #: What the student's tensor may have otherwise at a loss of 0, such as
    #: ``'scale'``, for messages. None if nothing.
    leaves_free: Optional[str] = None

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
            student (Tensor): The student's; the subclass documents the shape.
            teacher (Tensor): The teacher's, of the same shape (but see
                ``compares_channels``).
            weight (Tensor, optional): Weights or a mask; the subclass
                documents the shape. Defaults to None.
            avg_factor (float or Tensor, optional): The sum is divided by it.
                It is a number of things, so values below 1 are taken as 1.
                Defaults to None: the subclass documents what is taken.
            temperature (float or Tensor, optional): Temperature of this call
                instead of the constructor's; a tensor has shape (). Defaults
                to None.
            target (Tensor, optional): Labels, if ``needs_target``: class
                indices (...) of logits (..., C), or soft labels (..., C) as
                mixup gives them. Defaults to None.

        Returns:
            Tensor: The loss, a float32 scalar (float64 if the student is).

        Raises:
            ValueError: If the shapes do not fit, the temperature is not
                positive, or labels are needed and not given.
        """
        if student.shape != teacher.shape and (self.compares_channels
                                               or _without_channels(student)
                                               != _without_channels(teacher)):
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
        elif not isinstance(temperature, Tensor):
            # To check a tensor would make the host wait for the device.
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
        """The formula, without ``loss_weight``.

        All tensors have the same floating dtype, and ``student`` has elements
        and the shape of ``teacher``. With ``needs_target`` a subclass also
        takes ``target``, as :meth:`forward` documents it.

        Returns:
            Tensor: A scalar.
        """


def _without_channels(maps: Tensor) -> Sequence[int]:
    return (*maps.shape[:1], *maps.shape[2:])


def expand_weight(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Broadcast a weight to a shape, without a copy.

    Raises:
        ValueError: If this is not possible.
    """
    try:
        return weight.expand(shape)
    except RuntimeError:
        raise ValueError('weight should be broadcastable to the shape '
                         f'{tuple(shape)}, but has the shape '
                         f'{tuple(weight.shape)}') from None


def label_of_each_sample(target: Tensor, logits: Tensor) -> Tensor:
    """Class indices of labels that may be soft, without a device sync.

    Args:
        target (Tensor): Class indices (...), or soft labels (..., C). For
            soft labels the class with the largest share is taken.
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


def location_weight(maps: Tensor, weight: Optional[Tensor]) -> \
        Optional[Tensor]:
    """The weight of each location of feature maps.

    Args:
        maps (Tensor): Shape (B, C, H, W).
        weight (Tensor, optional): Broadcastable to (B, 1, H, W).

    Returns:
        Tensor, optional: Shape (B, 1, H, W); None for None.

    Raises:
        ValueError: If a shape is another one.
    """
    if maps.dim() != 4:
        raise ValueError('feature maps should be of shape (B, C, H, W), but '
                         f'got {tuple(maps.shape)}')
    if weight is None:
        return None
    batch, _, height, width = maps.shape
    return expand_weight(weight, (batch, 1, height, width))
