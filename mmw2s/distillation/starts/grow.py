# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

import torch
from torch import nn

from mmw2s.registry import STARTS
from ..class_matching import OtherClasses
from ..teacher import FrozenTeacher
from .base import Start, Started
from .growth import CannotGrow, State, families, find_rule, grow_module
from .layers import share_of, tensors_of
from .same_outputs import refuse_other_outputs, seeded
from .stem import pixel_way

__all__ = ['Grow', 'grow_out_of']


@STARTS.register_module()
class Grow(Start):
    """The student begins as its whole teacher, grown to its own size.

    At first it computes exactly what the teacher computes. It may be deeper,
    with more blocks in a stage, and wider, with a whole multiple of the
    channels:

    - New blocks begin as the identity: the last layer of their residual
      branch is 0.
    - Channels are copied, and the weights that read the copies sum to the
      old ones: ``w (1 / k + e_j)``, where the random ``e_j`` sum to 0.

    Before training both models are run on two random images, in float64 if
    they can be. If their outputs differ by more than 1e-4 of the spread of the
    teacher's, the student gets its weights back and the run ends.

    The way of `Net2Net <https://arxiv.org/abs/1511.05641>`_, with residual
    blocks that begin as 0. Which families of models have rules:
    :mod:`mmw2s.distillation.starts.growth`.

    Raises:
        ValueError: If no rule makes the student compute what the teacher
            computes, the classes or the normalization of images differ, or
            the outputs do.

    Example:
        >>> start = dict(type='Grow')
    """

    def apply(self, student: nn.Module, teacher: FrozenTeacher,
              other_classes: Optional[OtherClasses]) -> Started:
        try:
            _refuse_other_task(student, teacher, other_classes)
            grown = grow_out_of(student, teacher.model)
        except ValueError as error:
            advice = '' if isinstance(error, _OtherTask) else (
                ': use start=dict(type="Inherit") or dict(type="Corner"), '
                'which ask for less')
            raise ValueError(
                'start=Grow: the student cannot begin as the teacher '
                f'{teacher.name}: {error}{advice} (it grows models made of '
                f'{", ".join(families())})') from error
        return _started(student, teacher.model, grown)


def grow_out_of(student: nn.Module, teacher: nn.Module) -> State:
    """Give a student the weights with which it computes what another does.

    Args:
        student (nn.Module): The student, without a wrapper.
        teacher (nn.Module): The smaller model.

    Returns:
        dict[str, Tensor]: What the student has been given, by name.

    Raises:
        ValueError: If no rule does it, or their outputs differ. The student
            has the weights that it had before.
    """
    before = {k: v.clone() for k, v in tensors_of(student).items()}
    try:
        # A multiple of the outputs, say, is no wider layer unless a family's
        # rule has made its inputs wider.
        widen = any(find_rule(module) for module in student.modules())
        with seeded(), torch.no_grad():
            grown = grow_module(student, teacher, widen)
        _load(student, grown)
        refuse_other_outputs(student, teacher)
    except BaseException:
        _load(student, before)
        raise
    return grown


class _OtherTask(CannotGrow):
    """The two should not compute the same. Its message has advice."""


def _refuse_other_task(student: nn.Module, teacher: FrozenTeacher,
                       other_classes: Optional[OtherClasses]) -> None:
    """Refuse models that should not compute the same.

    Raises:
        _OtherTask: With advice.
    """
    advice = 'use start=dict(type="Inherit"), which leaves '
    if other_classes:
        raise _OtherTask(f'its classes are others ({other_classes}): '
                         f'{advice}what depends on them')
    modules = dict(teacher.model.named_modules())
    for name, module in student.named_modules():
        counts = [
            getattr(m, 'num_classes', None)
            for m in (module, modules.get(name))
        ]
        if all(isinstance(n, int) for n in counts) and counts[0] != counts[1]:
            raise _OtherTask(
                f'it has {counts[0]} classes, the teacher {counts[1]}: '
                f'{advice}what depends on them', name)
    if pixel_way(student, teacher) is not None:
        raise _OtherTask(
            'the two normalize images differently: give the student the '
            f'teacher\'s data_preprocessor, or {advice}the stem')


def _load(model: nn.Module, state: State) -> None:
    """Change tensors in place: the optimizer knows them."""
    tensors = tensors_of(model)
    for name, tensor in state.items():
        if tensors[name].shape != tensor.shape:
            raise CannotGrow(
                f'its rule gives {tuple(tensor.shape)}, but it is '
                f'{tuple(tensors[name].shape)}', name)
    with torch.no_grad():
        for name, tensor in state.items():
            tensors[name].copy_(tensor)


def _started(student: nn.Module, teacher: nn.Module, grown: State) -> Started:
    given = tensors_of(teacher)
    taken, wide, new = [], [], []
    for name in tensors_of(student):
        if name in grown and name in given and \
                given[name].shape == grown[name].shape and \
                torch.equal(given[name], grown[name]):
            taken.append(name)
        # The zeros at the end of a new block are nothing of the teacher's.
        elif name in grown and (name in given or grown[name].any()):
            wide.append(name)
        else:
            new.append(name)
    return Started(
        taken, share_of(student, {n: grown[n].numel()
                                  for n in taken + wide}),
        {'they are new, and without effect at first': new} if new else {},
        {'are grown': wide} if wide else {})
