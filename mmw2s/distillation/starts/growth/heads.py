# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Attention of more or wider heads that computes what the teacher's does."""
import math
from typing import NamedTuple

from torch import Tensor, nn

from ..layers import tensors_of
from .rules import State
from .widths import copied, factor, split

__all__ = ['Heads']


class Heads(NamedTuple):
    r"""The heads of two attentions.

    More heads are copies of the teacher's, side by side. In a wider head each
    channel has :math:`k` copies: the product of a query and a key is
    :math:`k` times as large, and the student divides it by :math:`\sqrt{k}`
    times as much. So queries are multiplied by :math:`1/\sqrt{k}`.

    Attributes:
        count (int): The teacher's heads.
        more (int): Copies of each head.
        wider (int): Copies of each channel in a head.
    """
    count: int
    more: int
    wider: int

    @classmethod
    def of(cls, student: int, teacher: int, student_width: int,
           teacher_width: int) -> 'Heads':
        """Compare two attentions.

        Args:
            student (int): Number of its heads.
            teacher (int): Number of its heads.
            student_width (int): Channels of all the student's heads together.
            teacher_width (int): Those of the teacher's.

        Raises:
            CannotGrow: If one is no whole multiple of the other.
        """
        more = factor(student, teacher, 'heads of attention')
        wider = factor(student_width // student, teacher_width // teacher,
                       'channels a head of attention')
        return cls(teacher, more, wider)

    @property
    def query_scale(self) -> float:
        """What queries are multiplied by."""
        return 1 / math.sqrt(self.wider)

    def outputs(self, tensor: Tensor) -> Tensor:
        """Weight or bias of queries, keys or values.

        Args:
            tensor (Tensor): The teacher's, shape (C, ...).

        Returns:
            Tensor: Shape (more * wider * C, ...).
        """
        each = tensor.unflatten(0, (self.count, -1))
        return copied(copied(each, self.more), self.wider, 1).flatten(0, 1)

    def inputs(self, weight: Tensor) -> Tensor:
        """Weight of the projection behind the heads.

        Args:
            weight (Tensor): The teacher's, shape (C_out, C).

        Returns:
            Tensor: Shape (C_out, more * wider * C).
        """
        each = weight.unflatten(1, (self.count, -1))
        return split(split(each, self.more), self.wider, 2).flatten(1, 2)

    def projection(self, layer: nn.Module, width: int) -> State:
        """The layer behind the heads.

        Args:
            layer (nn.Module): The teacher's.
            width (int): How many times its outputs there are.

        Returns:
            dict[str, Tensor]: Its tensors, grown.
        """
        grown = {
            key: copied(tensor, width)
            for key, tensor in tensors_of(layer).items()
        }
        grown['weight'] = self.inputs(grown['weight'])
        return grown
