# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A stem whose first convolution sees images that are normalized otherwise."""
import re
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Union

import torch
from torch import Tensor, nn

from mmw2s.utils.kinds import is_kind
from ..input_mapping import InputMapping
from ..pixel_map import PixelMap
from ..teacher import FrozenTeacher

__all__ = ['Folded', 'fold_stem', 'pixel_way', 'stages_of', 'stem_in']

# The stages of a backbone, by the names that its packages use.
_STAGE = re.compile(r'(?:^|\.)(layer|layers\.|stage|stages\.|blocks\.)\d+$')


class Folded(NamedTuple):
    """Tensors of a stem for the student's images.

    Attributes:
        tensors (dict[str, Tensor]): By their names in the state dict.
        is_exact (bool): Whether the stem gives the same also where it sees
            zeros beside the image.
    """
    tensors: Dict[str, Tensor]
    is_exact: bool


def stages_of(student: nn.Module) -> List[str]:
    """Names of the stages of its backbone, if it has one."""
    if not hasattr(student, 'backbone'):
        return []
    found: List[str] = []
    for name, _ in student.backbone.named_modules():  # outer ones first
        if _STAGE.search(name) and not name.startswith(
                tuple(f'{stage}.' for stage in found)):
            found.append(name)
    return [f'backbone.{name}' for name in found]


def stem_in(names: Iterable[str], student: nn.Module) -> List[str]:
    """Those of some names that lie in the backbone before the stages."""
    in_stages = tuple(f'{stage}.' for stage in stages_of(student))
    return [
        name for name in names
        if name.startswith('backbone.') and not name.startswith(in_stages)
    ]


def pixel_way(student: nn.Module,
              teacher: FrozenTeacher) -> Union[PixelMap, str, None]:
    """From what the student sees of an image to what the teacher sees.

    Returns:
        PixelMap, str or None: None if both see the same. A text if it cannot
        be told: why.
    """
    try:
        mapping = InputMapping(student.data_preprocessor,
                               teacher.model.data_preprocessor,
                               teacher.pipelines)
    except ValueError as error:
        return str(error)
    mapping.remove()
    return None if mapping.is_identity else mapping.way


def fold_stem(student: nn.Module, way: PixelMap,
              values: Mapping[str, Tensor]) -> Optional[Folded]:
    r"""Let a stem give for the student's images what it gave for others.

    The teacher's image :math:`t_c = a_c \, s_{o(c)} + b_c` is linear in the
    student's :math:`s`, and so is the convolution:

    .. math::
        \sum_c w_c * t_c = \sum_c (a_c w_c) * s_{o(c)}
        + \sum_c b_c \sum_{ij} w_{cij}

    So scale and order of the channels go into the weights. The last term is a
    constant, but where the convolution sees zeros beside the image. It goes
    into the bias; without one, into the running mean of the BatchNorm that
    follows (which takes every constant out by itself in training).

    Args:
        student (nn.Module): The student.
        way (PixelMap): From the student's image to the teacher's.
        values (Mapping[str, Tensor]): The teacher's tensors that the student
            takes, by name.

    Returns:
        Folded, optional: None if it cannot be done: the first convolution is
        not known or not taken over, a channel is lost, or nothing takes the
        constant.
    """
    name = _first_convolution(student, len(way.order))
    if name is None or sorted(way.order) != list(range(len(way.order))):
        return None
    weight = values.get(f'{name}.weight')
    if weight is None:
        return None
    scale, shift = (
        v.reshape(1, -1, 1, 1).to(weight.device)
        for v in (way.scale, way.shift))
    # In double precision: a scale may be 255.
    scaled = weight.double() * scale
    folded = torch.empty_like(scaled)
    folded[:, list(way.order)] = scaled
    tensors = {f'{name}.weight': folded.to(weight.dtype)}
    constant = (weight.double() * shift).sum((1, 2, 3))
    # Both are measured, so they are not exact.
    if ((shift / scale).abs() < 1e-4).all():
        return Folded(tensors, True)
    place = _place_of_constant(student, name)
    if place is None or place not in values:
        return None
    sign = 1 if place == f'{name}.bias' else -1
    old = values[place]
    tensors[place] = (old.double() + sign * constant).to(old.dtype)
    padding = student.get_submodule(name).padding
    return Folded(tensors, padding in (0, (0, 0), 'valid'))


def _first_convolution(student: nn.Module, channels: int) -> Optional[str]:
    """The only convolution before the stages that fits an image."""
    modules = dict(student.named_modules())
    found = [
        name for name in stem_in(modules, student)
        # Subclasses may change the weights, or pad, in their forward.
        if type(modules[name]).__name__ == 'Conv2d'
        and modules[name].in_channels == channels and modules[name].groups == 1
    ]
    return found[0] if len(found) == 1 else None


def _place_of_constant(student: nn.Module, name: str) -> Optional[str]:
    """The tensor that takes a constant after a convolution."""
    if student.get_submodule(name).bias is not None:
        return f'{name}.bias'
    leaves = [
        at for at, module in student.named_modules()
        if not any(True for _ in module.children())
    ]
    behind = leaves[leaves.index(name) + 1:][:1]
    return next(
        (f'{at}.running_mean' for at in behind
         if is_kind(student.get_submodule(at), '_BatchNorm', 'SyncBatchNorm')),
        None)
