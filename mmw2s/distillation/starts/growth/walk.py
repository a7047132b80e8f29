# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Grows a model module by module."""
from typing import Sequence

from torch import nn

from ..layers import tensors_of
from .parts import part
from .rules import CannotGrow, State, find_rule, refuse_other_class
from .widths import grow_layer

__all__ = ['grow_children', 'grow_module']


def grow_module(student: nn.Module,
                teacher: nn.Module,
                widen: bool = False) -> State:
    """The tensors with which a module computes what the teacher's computes.

    A module of a family that has a rule is grown by it. One whose tensors
    agree with the teacher's in names and shapes is copied. Of others the
    children are looked at, one by one.

    Args:
        student (nn.Module): A module of the student.
        teacher (nn.Module): The one of that name of the teacher.
        widen (bool): Whether layers of more channels are grown by
            :func:`grow_layer`. Defaults to False.

    Returns:
        dict[str, Tensor]: New values by their names in the student's module.
        What is not in it keeps its initialization.

    Raises:
        CannotGrow: If there is no way. The error names the module.
    """
    rule = find_rule(student)
    if rule is not None:
        try:
            grown = rule(student, teacher)
        except CannotGrow:
            raise
        except ValueError as error:
            raise CannotGrow(str(error)) from error
        if grown is not None:
            return grown
    refuse_other_class(student, teacher)
    own, given = tensors_of(student), tensors_of(teacher)
    if _shapes(own) == _shapes(given):
        return given
    if any(True for _ in student.children()):
        return grow_children(student, teacher, widen=widen)
    state = grow_layer(student, teacher) if widen else None
    if state is None:
        raise CannotGrow(f'no rule tells how a {type(student).__name__} of '
                         f'{_told(own)} grows out of one of {_told(given)}')
    return state


def grow_children(student: nn.Module,
                  teacher: nn.Module,
                  leave: Sequence[str] = (),
                  widen: bool = False) -> State:
    """Grow the children of a module one by one, and copy its own tensors.

    Args:
        student (nn.Module): A module of the student.
        teacher (nn.Module): The one of that name of the teacher.
        leave (Sequence[str]): Children that are left to the caller. Defaults
            to none.
        widen (bool): See :func:`grow_module`.

    Raises:
        CannotGrow: If there is no way, or only one of the two has a child or
            tensor.
    """
    # Those without tensors, such as an activation, are left to the check of
    # the outputs.
    own, given = ({
        name: child
        for name, child in module.named_children()
        if name not in leave and tensors_of(child)
    } for module in (student, teacher))
    state = _own_tensors(student, teacher, widen)
    for name in {**own, **given}:
        _refuse_missing(name, name in own, name in given)
        state.update(part(name, grow_module, own[name], given[name], widen))
    return state


def _own_tensors(student: nn.Module, teacher: nn.Module, widen: bool) -> State:
    """Tensors of a module itself, none of its children's."""
    own, given = ({
        k: v
        for k, v in tensors_of(module).items() if '.' not in k
    } for module in (student, teacher))
    for name in {**own, **given}:
        _refuse_missing(name, name in own, name in given)
    # A deformable convolution has another one as its child.
    if widen and _shapes(own) != _shapes(given):
        grown = grow_layer(student, teacher)
        if grown is not None:
            return grown
    for name in own:
        if own[name].shape != given[name].shape:
            raise CannotGrow(
                f'no rule tells how {tuple(own[name].shape)} grows out of '
                f'{tuple(given[name].shape)}', name)
    return given


def _refuse_missing(name: str, in_student: bool, in_teacher: bool) -> None:
    if in_student != in_teacher:
        whose = 'student' if in_student else 'teacher'
        raise CannotGrow(f'only the {whose} has it', name)


def _shapes(state: State) -> dict:
    return {name: tensor.shape for name, tensor in state.items()}


def _told(state: State) -> str:
    return ', '.join(f'{name} {tuple(tensor.shape)}'
                     for name, tensor in state.items())
