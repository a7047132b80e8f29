# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import MappingProxyType
from typing import Dict, List, Mapping, NamedTuple, Optional

from torch import nn

from ..class_matching import OtherClasses
from ..teacher import FrozenTeacher

__all__ = ['Start', 'Started']


class Started(NamedTuple):
    """What a student has taken over from its teacher.

    Attributes:
        taken (list[str]): Names of the tensors in the student's state dict
            that equal the teacher's.
        share (float): Share of the student's parameters, 0 to 1.
        left (dict[str, list[str]]): Reason -> names of the tensors of the
            chosen modules that stay as they were.
        adapted (Mapping[str, list[str]]): How -> names of the tensors that
            are taken over in part, or changed to fit. Defaults to none.
        rows (int): Number of rows of classes among these. Defaults to 0.
    """
    taken: List[str]
    share: float
    left: Dict[str, List[str]]
    adapted: Mapping[str, List[str]] = MappingProxyType({})
    rows: int = 0

    @property
    def count(self) -> int:
        """Number of the tensors that were taken over, also in part."""
        return len(self.taken) + sum(map(len, self.adapted.values()))

    def __str__(self) -> str:
        changed = ''.join(f'; {len(names)} of them {how}'
                          for how, names in self.adapted.items())
        reasons = ''.join(f'; {len(names)} are left: {reason}'
                          for reason, names in self.left.items())
        return (f'{self.count} tensors, {self.share:.1%} of the student\'s '
                f'parameters, begin as the teacher\'s{changed}{reasons}')


class Start:
    """*From where* the student starts: weights that it takes over.

    A subclass changes the student once, before the first iteration of a fresh
    run, after ``init_weights``. A resumed run is never changed.
    """

    def apply(self, student: nn.Module, teacher: FrozenTeacher,
              other_classes: Optional[OtherClasses]) -> Started:
        """Change the student's weights in place.

        Called on every rank; it has to do the same on each of them.

        Args:
            student (nn.Module): The inner model, without a DDP wrapper.
            teacher (FrozenTeacher): The teacher; it stays as it is.
            other_classes (OtherClasses, optional): How the classes of the
                two differ. None if they do not, as far as is known.

        Raises:
            ValueError: If the two do not fit.
        """
        raise NotImplementedError(
            f'{type(self).__name__} should define `apply`')

    def refuse_empty(self, teacher: FrozenTeacher, left: Dict[str, List[str]],
                     advice: str) -> None:
        """End the run, because there is nothing to take over.

        Args:
            teacher (FrozenTeacher): The teacher.
            left (dict[str, list[str]]): Reason -> names of tensors.
            advice (str): What the user can do.

        Raises:
            ValueError: Always.
        """
        reasons = '; '.join(f'{len(names)} tensors: {reason}'
                            for reason, names in left.items())
        raise ValueError(
            f'start={type(self).__name__}: the student can take over no '
            f'weight of the teacher {teacher.name}. {reasons}. {advice}')
