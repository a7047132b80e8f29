# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Dict, Iterable, List, Optional, Tuple

import torch
from torch import Tensor, nn

from mmw2s.registry import STARTS
from ..class_matching import OtherClasses
from ..teacher import FrozenTeacher
from .base import Start, Started
from .class_rows import is_by_class
from .layers import is_pretrained, other_class, share_of, tensors_of, torn
from .stem import pixel_way, stem_in

__all__ = ['Corner']

# A tensor of the teacher, or why none is taken.
Source = Tuple[Optional[Tensor], str]


@STARTS.register_module()
class Corner(Start):
    """The teacher's weights become the leading corner of the student's.

    For any two models of one family, wider, deeper or both. Each tensor of
    the student takes the teacher's tensor of the same name and number of
    dimensions as its first entries in every dimension; its other entries
    keep their initialization. Of ``n`` numbered blocks, block ``i`` takes
    those of the teacher's block ``i * m // n`` of ``m``: with twice the
    blocks, each of the teacher's goes to two neighbours.

    The student does not compute what the teacher computes, see :class:`Grow`.
    Left as they are: tensors that are larger in the teacher, kernels of
    another size, modules of another class, what depends on classes where
    these are others, a stem for other pixels, and a backbone with weights of
    its own (``init_cfg`` of type ``Pretrained``).

    The way of `CoM-PT <https://arxiv.org/abs/2604.12391>`_.

    Raises:
        ValueError: If nothing can be taken over.

    Example:
        >>> start = dict(type='Corner')
    """

    def apply(self, student: nn.Module, teacher: FrozenTeacher,
              other_classes: Optional[OtherClasses]) -> Started:
        tensors = tensors_of(student)
        kept = _kept_of_backbone(tensors, student, teacher)
        taken: Dict[str, Tensor] = {}
        left: Dict[str, List[str]] = {}
        for name, tensor in tensors.items():
            source, reason = _source(name, student, teacher.model)
            if source is not None:
                reason = _why_not(tensor, source)
            if not reason and is_by_class(name, tensor, student) and (
                    other_classes or tensor.shape[0] != source.shape[0]):
                reason = 'the classes are others'
            reason = reason or kept.get(name)
            if reason:
                left.setdefault(reason, []).append(name)
            else:
                taken[name] = source
        for name in torn(student, taken):
            del taken[name]
            left.setdefault('the layer is shared, the teacher has several',
                            []).append(name)
        if not taken:
            self.refuse_empty(
                teacher, left, 'Take a teacher of the student\'s family, or '
                'leave start out')
        whole = [
            name for name, source in taken.items()
            if source.shape == tensors[name].shape
        ]
        part = [name for name in taken if name not in whole]
        with torch.no_grad():
            for name, source in taken.items():
                corner = tuple(slice(length) for length in source.shape)
                tensors[name][corner].copy_(source)
        share = share_of(student, {k: v.numel() for k, v in taken.items()})
        return Started(whole, share, left,
                       {'in their corner': part} if part else {})


def _kept_of_backbone(names: Iterable[str], student: nn.Module,
                      teacher: FrozenTeacher) -> Dict[str, str]:
    """Those of some names in the backbone that stay: name -> reason."""
    if is_pretrained(student):
        return {
            name: 'the backbone has weights of its own (init_cfg)'
            for name in names if name.startswith('backbone.')
        }
    if pixel_way(student, teacher) is None:
        return {}
    return dict.fromkeys(
        stem_in(names, student), 'the two normalize images differently')


def _source(name: str, student: nn.Module, teacher: nn.Module) -> Source:
    """The teacher's tensor for one of the student, by its way through both."""
    *path, last = name.split('.')
    for step in path:
        # `named_children()` would name a module once that has several names.
        children = teacher._modules
        if isinstance(student, (nn.Sequential, nn.ModuleList)) and \
                isinstance(teacher, (nn.Sequential, nn.ModuleList)):
            place = list(student._modules).index(step)
            key = list(teacher._modules)[place * len(teacher) // len(student)]
        else:
            key = step
        if key not in children:
            return None, 'the teacher has none of that name'
        student, teacher = student.get_submodule(step), children[key]
        reason = other_class(student, teacher)
        if reason:
            return None, reason
    source = tensors_of(teacher).get(last)
    if source is None:
        return None, 'the teacher has none of that name'
    return source, ''


def _why_not(tensor: Tensor, source: Tensor) -> str:
    """Why a tensor is no corner of another. Empty if it is one."""
    if tensor.dim() != source.dim():
        return 'the teacher\'s has other dimensions'
    if any(own < given for own, given in zip(tensor.shape, source.shape)):
        return 'the teacher\'s is larger'
    if not tensor.is_floating_point() and tensor.shape != source.shape:
        return 'its numbers are places of another size'
    if tensor.dim() > 3 and tensor.shape[2:] != source.shape[2:]:
        return 'its kernel has another size'
    return ''
