# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The layers of a model, and whether two of them have the same role."""
from typing import Dict, Iterator, List, Mapping, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import (is_parametrized,
                                        type_before_parametrizations)

from mmw2s.utils.init_cfg import loads_weights
from mmw2s.utils.kinds import is_kind

__all__ = [
    'Layer', 'agree', 'is_pretrained', 'layers_in', 'other_class',
    'other_role', 'share_of', 'tensors_in', 'tensors_of', 'torn'
]

# Tensors, such as those of one layer, by their names.
Layer = Dict[str, Tensor]


def tensors_of(module: nn.Module) -> Layer:
    """Parameters and buffers by their names in the state dict."""
    return {
        name: tensor
        for name, tensor in module.state_dict().items()
        if isinstance(tensor, Tensor)
    }


def tensors_in(model: nn.Module, place: str) -> Iterator[Tuple[str, Tensor]]:
    """Parameters and buffers at or in a module, by their full names."""
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name.startswith(f'{place}.') and isinstance(tensor, Tensor):
            yield name, tensor


def layers_in(model: nn.Module, place: str) -> List[Layer]:
    """The tensors at or in a module, those of one layer together."""
    layers: Dict[str, Layer] = {}
    for name, tensor in tensors_in(model, place):
        layers.setdefault(name.rpartition('.')[0], {})[name] = tensor
    return list(layers.values())


def share_of(student: nn.Module, counts: Mapping[str, int]) -> float:
    """The share of a student's parameters that some numbers are, 0 to 1.

    Args:
        student (nn.Module): The student.
        counts (Mapping[str, int]): How many numbers of each tensor, by name.
            Tensors that are no parameters do not count.
    """
    sizes = {name: p.numel() for name, p in student.named_parameters()}
    taken = sum(count for name, count in counts.items() if name in sizes)
    return taken / sum(sizes.values())


def other_role(name: str, student: nn.Module,
               teacher: nn.Module) -> Optional[str]:
    """Whether a module around a tensor is of another class, in words."""
    path = name.split('.')[:-1]
    for end in range(1, len(path) + 1):
        place = '.'.join(path[:end])
        reason = other_class(
            student.get_submodule(place), teacher.get_submodule(place))
        if reason is not None:
            return reason
    return None


def other_class(student: nn.Module, teacher: nn.Module) -> Optional[str]:
    """Whether two modules are of different classes, in words."""
    if _same_class(student, teacher):
        return None
    return (f'the student has a {type(student).__name__} here, the teacher a '
            f'{type(teacher).__name__}')


def agree(place: str, student: nn.Module, teacher: nn.Module) -> bool:
    """Whether two modules have the same tensors in the same roles."""
    wanted = {name: t.shape for name, t in tensors_in(student, place)}
    given = {name: t.shape for name, t in tensors_in(teacher, place)}
    return wanted == given and all(
        other_role(name, student, teacher) is None for name in wanted)


def torn(student: nn.Module, values: Mapping[str, Tensor]) -> List[str]:
    """The names of tensors that cannot take what is meant for them.

    A tensor that the student has under several names (a layer that is shared)
    can take one value only.

    Args:
        student (nn.Module): The student.
        values (Mapping[str, Tensor]): New values by name.
    """
    names: Dict[int, List[str]] = {}
    for name, tensor in student.state_dict(keep_vars=True).items():
        if name in values:
            names.setdefault(id(tensor), []).append(name)
    return [
        name for shared in names.values() for name in shared
        if not all(_equal(values[shared[0]], values[n]) for n in shared[1:])
    ]


def _equal(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.shape == other.shape
                            and torch.equal(one, other))


def _same_class(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules compute the same, but for their weights."""
    # Each module with a parametrization, such as `weight_norm`, is of a class
    # of its own.
    kinds = tuple(map(type_before_parametrizations, (one, other)))
    if _parametrizations(one) != _parametrizations(other):
        return False
    if kinds[0] is kinds[1]:
        return True
    # BN, SyncBN and what MMEngine makes of them on one device. mmcv's MMSyncBN
    # is no subclass of torch's.
    if all(
            is_kind(module, '_BatchNorm', 'SyncBatchNorm')
            for module in (one, other)):
        return True
    # mmcv wraps some layers of torch under their own names ('Conv2d').
    return kinds[0].__name__ == kinds[1].__name__ and (
        issubclass(*kinds) or issubclass(*kinds[::-1]))


def _parametrizations(module: nn.Module) -> Dict[str, List[type]]:
    if not is_parametrized(module):
        return {}
    return {
        name: [type(step) for step in steps]
        for name, steps in module.parametrizations.items()
    }


def is_pretrained(model: nn.Module) -> bool:
    """Whether a model, or its backbone, begins with weights of its own."""
    backbone = getattr(model, 'backbone', None)
    # timm's models load their weights when they are built, and do not tell.
    return is_kind(backbone, 'TIMMBackbone') or any(
        loads_weights(getattr(part, 'init_cfg', None))
        for part in (model, backbone))
