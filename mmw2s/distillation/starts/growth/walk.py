# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Grows a model module by module."""
from typing import Iterable, Optional

from torch import Tensor, nn

from .rules import CannotGrow, State, find_rule
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
    if type(student).__name__ != type(teacher).__name__:
        raise CannotGrow(f'it is a {type(student).__name__}, the teacher\'s '
                         f'a {type(teacher).__name__}')
    ours, theirs = _tensors(student), _tensors(teacher)
    if _shapes(ours) == _shapes(theirs):
        return theirs
    if any(True for _ in student.children()):
        return grow_children(student, teacher, widen=widen)
    state = grow_layer(student, teacher) if widen else None
    if state is None:
        raise CannotGrow(f'no rule tells how a {type(student).__name__} of '
                         f'{_told(ours)} grows out of one of {_told(theirs)}')
    return state


def grow_children(student: nn.Module,
                  teacher: nn.Module,
                  names: Optional[Iterable[str]] = None,
                  widen: bool = False) -> State:
    """Grow the children of a module, and copy its own tensors.

    Args:
        student (nn.Module): A module of the student.
        teacher (nn.Module): The one of that name of the teacher.
        names (Iterable[str], optional): The children to grow. Defaults to
            None: all of them.
        widen (bool): See :func:`grow_module`.

    Raises:
        CannotGrow: If there is no way, or only one of the two has a child or
            tensor.
    """
    ours, theirs = (dict(m.named_children()) for m in (student, teacher))
    state = {}
    for name in ours if names is None else names:
        _refuse_missing(name, name in ours, name in theirs)
        try:
            grown = grow_module(ours[name], theirs[name], widen)
        except CannotGrow as error:
            raise error.inside(name) from error
        state.update({f'{name}.{key}': value for key, value in grown.items()})
    if names is None:
        for name, child in theirs.items():
            if _tensors(child):
                _refuse_missing(name, name in ours, True)
    return {**_own_tensors(student, teacher), **state}


def _own_tensors(student: nn.Module, teacher: nn.Module) -> State:
    """Tensors of a module itself, none of its children's."""
    ours, theirs = ({
        k: v
        for k, v in _tensors(module).items() if '.' not in k
    } for module in (student, teacher))
    for name in {**ours, **theirs}:
        _refuse_missing(name, name in ours, name in theirs)
        if ours[name].shape != theirs[name].shape:
            raise CannotGrow(
                f'no rule tells how {tuple(ours[name].shape)} grows out of '
                f'{tuple(theirs[name].shape)}', name)
    return theirs


def _refuse_missing(name: str, is_ours: bool, is_theirs: bool) -> None:
    if is_ours != is_theirs:
        raise CannotGrow(
            'only the ' + ('student' if is_ours else 'teacher') + ' has it',
            name)


def _tensors(module: nn.Module) -> State:
    return {
        name: tensor
        for name, tensor in module.state_dict().items()
        if isinstance(tensor, Tensor)
    }


def _shapes(state: State) -> dict:
    return {name: tensor.shape for name, tensor in state.items()}


def _told(state: State) -> str:
    return ', '.join(f'{name} {tuple(tensor.shape)}'
                     for name, tensor in state.items())
