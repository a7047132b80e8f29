# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional, Sequence, Tuple

from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from ..teacher_view import TeacherView
from .base import Captured, Knowledge, Pair

__all__ = ['FPNFeatures']


@KNOWLEDGE.register_module()
class FPNFeatures(Knowledge):
    """Feature maps of a named module, level by level.

    Each level of each call is a pair of maps of shape (B, C, H, W).

    Args:
        module (str): The student's module that gives a map or a sequence of
            maps. Defaults to ``'neck'``.
        teacher_module (str, optional): The teacher's. Defaults to the same
            name.
        levels (Sequence[int], optional): Indices of the levels to pair,
            counted from the finest. Defaults to None, which takes all.
    """

    name = 'fpn'

    def __init__(self,
                 module: str = 'neck',
                 teacher_module: Optional[str] = None,
                 levels: Optional[Sequence[int]] = None) -> None:
        super().__init__(module, teacher_module)
        if levels is not None and not (levels and all(
                isinstance(i, int) and i >= 0 for i in levels)):
            raise ValueError('FPNFeatures.levels should name at least one '
                             'level, counted from 0 at the finest, but got '
                             f'{levels!r}')
        self.levels = levels

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare the channels and the number of levels, where modules tell.

        What the modules do not tell is compared on the first batch.
        """
        for attribute, what in (('out_channels', 'channels'), ('num_outs',
                                                               'levels')):
            if what == 'levels' and self.levels is not None:
                continue  # common ones were chosen
            ours, theirs = (
                getattr(m, attribute, None)
                for m in self.modules_of(student, teacher))
            if isinstance(ours, int) and isinstance(theirs, int) and \
                    ours != theirs:
                raise ValueError(
                    f'the teacher\'s {self.teacher_module} gives {theirs} '
                    f'{what}, the student\'s {self.module} {ours}: '
                    'FPNFeatures pairs maps of equal shape. Use a teacher '
                    f'with {ours} {what}' +
                    (', or choose common levels by FPNFeatures.levels'
                     if what == 'levels' else ''))

    def pairs(self, captured: Captured, view: TeacherView) -> List[Pair]:
        pairs = []
        for ours, theirs in zip(captured[self.module],
                                view[self.teacher_module]):
            student, teacher = _maps(ours.output), _maps(theirs.output)
            if self.levels is None and len(student) != len(teacher):
                raise ValueError(
                    f'the teacher\'s {self.teacher_module} gives '
                    f'{len(teacher)} levels, the student\'s {self.module} '
                    f'{len(student)}: name common ones by FPNFeatures.levels')
            for level in self.levels or range(len(student)):
                if level >= min(len(student), len(teacher)):
                    raise ValueError(
                        f'FPNFeatures.levels has {level}, but the student '
                        f'gives {len(student)} levels and the teacher '
                        f'{len(teacher)}, counted from 0')
                name = f'{self.module}[{level}]'
                _check_shapes(name, student[level], teacher[level])
                pairs.append(Pair(name, student[level], teacher[level]))
        return pairs


def _maps(output) -> Tuple[Tensor, ...]:
    return (output, ) if isinstance(output, Tensor) else tuple(output)


def _check_shapes(name: str, student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(
            f'{name}: the student\'s map is {tuple(student.shape)}, the '
            f'teacher\'s {tuple(teacher.shape)} (B, C, H, W). Channels and '
            'strides should be equal: use a teacher with the student\'s neck, '
            'or name levels of equal shape by FPNFeatures.levels')
