# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import re
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from mmw2s.registry import STARTS
from mmw2s.utils.kinds import is_kind
from ..input_mapping import InputMapping
from ..recorder import find_module
from ..teacher import FrozenTeacher
from .base import Start, Started

__all__ = ['Inherit']

# The tensors of one layer, by their full names.
Layer = Dict[str, Tensor]
# What comes after the backbone, in detectors and classifiers.
_AFTER_BACKBONE = ('neck', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head',
                   'head')
# The stages of a backbone, by the names that its packages use.
_STAGE = re.compile(r'(layer|layers\.|stage|stages\.|blocks\.)\d+$')


@STARTS.register_module()
class Inherit(Start):
    """The student begins with those weights of the teacher that it can use.

    A layer is taken over if its tensors have the same names and shapes in both
    models and the same role: every module around them, from the outermost to
    their own, is of the same class. So a 3x3 convolution of a basic block is
    not taken for that of a bottleneck. Running statistics are taken too.

    By default (``modules=None``) the student inherits

    - neck and heads, layer by layer;
    - of the backbone, its stem and the stages that agree as a whole. Nothing
      if the backbone is initialized with weights of its own (``init_cfg`` of
      type ``Pretrained``), and no stem if the two models normalize images
      differently;
    - of a head of other classes, what does not depend on the classes.

    The way of `FGD <https://arxiv.org/abs/2111.11837>`_ and `MGD
    <https://arxiv.org/abs/2205.01529>`_, whose ``init_student`` takes neck
    and head, and of the inheriting strategy of `ICD
    <https://arxiv.org/abs/2110.12724>`_.

    Args:
        modules (Sequence[str], optional): Names of modules that both models
            have. Each layer in them that agrees in names and shapes is taken
            over, whatever is around it. Defaults to None, see above.

    Raises:
        ValueError: If a named module does not exist, or nothing can be
            taken over.

    Example:
        >>> start = dict(type='Inherit', modules=['neck', 'bbox_head'])
    """

    def __init__(self, modules: Optional[Sequence[str]] = None) -> None:
        if modules is not None and (
                not isinstance(modules, (list, tuple)) or not modules
                or not all(isinstance(m, str) and m for m in modules)):
            raise ValueError('Inherit.modules should be a list of names of '
                             f'modules, or None, but got {modules!r}')
        self.modules = modules

    def apply(self, student: nn.Module, teacher: FrozenTeacher,
              other_classes: Optional[str]) -> Started:
        left: Dict[str, List[str]] = {}
        taken: Dict[str, Tensor] = {}
        source = teacher.model.state_dict()
        if self.modules is None:
            layers = self._default_layers(student, teacher, left)
        else:
            layers = []
            for name in self.modules:
                find_module(student, name, 'student')
                find_module(teacher.model, name, 'teacher')
                layers += _layers(student, name)
        for layer in layers:
            # A bias without its weight would mean nothing: all tensors of a
            # layer are taken, or none.
            reasons = (self._why_not(name, tensor, source, student,
                                     teacher.model, other_classes)
                       for name, tensor in layer.items())
            reason = next(filter(None, reasons), None)
            if reason is None:
                taken.update(layer)
            else:
                left.setdefault(reason, []).extend(layer)
        if not taken:
            raise ValueError(
                'start=Inherit: the student can take over no weight of the '
                f'teacher {teacher.name}. ' +
                '; '.join(f'{len(names)} tensors: {reason}'
                          for reason, names in left.items()) +
                '. Name modules that the two have in common '
                '(Inherit.modules), or leave start out')
        with torch.no_grad():
            for name, tensor in taken.items():
                tensor.copy_(source[name])
        numbers = dict(student.named_parameters())
        count = sum(numbers[name].numel() for name in taken if name in numbers)
        share = count / sum(p.numel() for p in numbers.values())
        return Started(list(taken), share, left)

    def _why_not(self, name: str, tensor: Tensor, source: Dict[str, Tensor],
                 student: nn.Module, teacher: nn.Module,
                 other_classes: Optional[str]) -> Optional[str]:
        """What keeps a tensor from being taken over."""
        if not isinstance(source.get(name), Tensor):
            return 'the teacher has none of that name'
        if source[name].shape != tensor.shape:
            return 'the teacher\'s has another shape'
        if self.modules is None:
            reason = _other_role(name, student, teacher)
            if reason is not None:
                return reason
        if other_classes and _is_by_class(name, tensor, student):
            return 'the classes are others'
        return None

    def _default_layers(self, student: nn.Module, teacher: FrozenTeacher,
                        left: Dict[str, List[str]]) -> List[Layer]:
        """The layers to look at; those that are out of question are left."""
        both = (student, teacher.model)
        layers: List[Layer] = []
        for part in _AFTER_BACKBONE:
            if _have(part, *both):
                layers += _layers(student, part)
        if not _have('backbone', *both):
            return layers
        names = [name for name, _ in _tensors(student, 'backbone')]
        if _is_pretrained(student.backbone) or _is_pretrained(student):
            left['the backbone has weights of its own (init_cfg)'] = names
            return layers
        stages = [
            f'backbone.{name}' for name, _ in student.backbone.named_modules()
            if _STAGE.fullmatch(name)
        ]
        for stage in stages:
            if _agree(stage, *both):
                layers += _layers(student, stage)
            else:
                left.setdefault('the stage is another', []).extend(
                    name for name, _ in _tensors(student, stage))
        in_stages = tuple(f'{stage}.' for stage in stages)
        stem = [
            layer for layer in _layers(student, 'backbone')
            if not next(iter(layer)).startswith(in_stages)
        ]
        if _same_input(student, teacher):
            return layers + stem
        left['the two normalize images differently'] = [
            name for layer in stem for name in layer
        ]
        return layers


def _have(part: str, *models: nn.Module) -> bool:
    return all(
        isinstance(getattr(model, part, None), nn.Module) for model in models)


def _tensors(model: nn.Module, place: str) -> Iterator[Tuple[str, Tensor]]:
    """Parameters and buffers at or in a module, by their full names."""
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name.startswith(f'{place}.') and isinstance(tensor, Tensor):
            yield name, tensor


def _layers(model: nn.Module, place: str) -> List[Layer]:
    """The tensors at or in a module, those of one layer together."""
    layers: Dict[str, Layer] = {}
    for name, tensor in _tensors(model, place):
        layers.setdefault(name.rpartition('.')[0], {})[name] = tensor
    return list(layers.values())


def _other_role(name: str, student: nn.Module,
                teacher: nn.Module) -> Optional[str]:
    """Whether a module around a tensor is of another class."""
    path = name.split('.')[:-1]
    for end in range(1, len(path) + 1):
        modules = [
            model.get_submodule('.'.join(path[:end]))
            for model in (student, teacher)
        ]
        if type(modules[0]) is not type(modules[1]):
            return (f'it is of a {type(modules[0]).__name__}, the teacher\'s '
                    f'of a {type(modules[1]).__name__}')
    return None


def _agree(stage: str, student: nn.Module, teacher: nn.Module) -> bool:
    """Whether two stages have the same tensors in the same roles."""
    wanted = {name: t.shape for name, t in _tensors(student, stage)}
    given = {name: t.shape for name, t in _tensors(teacher, stage)}
    return wanted == given and all(
        _other_role(name, student, teacher) is None for name in wanted)


def _is_pretrained(module: nn.Module) -> bool:
    inits = getattr(module, 'init_cfg', None) or []
    inits = inits if isinstance(inits, (list, tuple)) else [inits]
    return any(init.get('type') == 'Pretrained' for init in inits)


def _same_input(student: nn.Module, teacher: FrozenTeacher) -> bool:
    """Whether an image reaches both models with the same values."""
    mapping = InputMapping(student.data_preprocessor,
                           teacher.model.data_preprocessor, teacher.pipelines)
    mapping.remove()
    return mapping.is_identity


def _is_by_class(name: str, tensor: Tensor, student: nn.Module) -> bool:
    """Whether a tensor of a head may have a row for each class.

    Its rows are counted: classes, with a background or without, once an
    anchor in a dense head, or boxes of four numbers in a RoI head. Others of
    so many rows are left out too.
    """
    path = name.split('.')
    for end in range(len(path) - 1, 0, -1):
        head = student.get_submodule('.'.join(path[:end]))
        classes = getattr(head, 'num_classes', None)
        if not isinstance(classes, int) or is_kind(head, 'RPNHead'):
            continue
        anchors = getattr(head, 'num_base_priors', 4)
        times = {1, max(anchors) if isinstance(anchors, list) else anchors}
        rows = {k * n for n in (classes, classes + 1) for k in times}
        return tensor.dim() > 0 and tensor.shape[0] in rows
    return False
