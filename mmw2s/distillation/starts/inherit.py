# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Collection, Dict, List, Optional, Sequence

import torch
from torch import Tensor, nn

from mmw2s.registry import STARTS
from mmw2s.utils.text import plural
from ..class_matching import OtherClasses
from ..recorder import find_module
from ..teacher import FrozenTeacher
from .base import Start, Started
from .class_rows import class_rows, is_by_class
from .layers import (Layer, agree, is_pretrained, layers_in, other_role,
                     share_of, tensors_in, torn)
from .stem import fold_stem, pixel_way, stages_of, stem_in

__all__ = ['Inherit']

# What comes after the backbone, in detectors and classifiers.
_AFTER_BACKBONE = ('neck', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head',
                   'head')


@STARTS.register_module()
class Inherit(Start):
    r"""The student begins with those weights of the teacher that it can use.

    A layer is taken over if its tensors have the same names and shapes in both
    models and the same role: every module around them, from the outermost to
    their own, is of the same class (all kinds of BatchNorm are one). So a 3x3
    convolution of a basic block is not taken for that of a bottleneck.
    Running statistics are taken too.

    By default (``modules=None``) the student inherits

    - neck and heads, layer by layer;
    - of the backbone, its stem and the stages that agree as a whole. Nothing
      if the backbone is initialized with weights of its own (``init_cfg`` of
      type ``Pretrained``).

    Of a head of other classes it takes the rows of those classes whose names
    the teacher knows, those of the background, and what does not depend on
    the classes.

    Where the two normalize images differently, the first convolution of the
    stem is changed to give for the student's images what it gave for the
    teacher's (also where the stem is named in ``modules``). With the
    teacher's image :math:`t_c = a_c s_{o(c)} + b_c`, the scale :math:`a` and
    the order :math:`o` of the channels go into the weights, and the constant
    that comes of :math:`b` into the bias, or into the running mean of the
    BatchNorm that follows. Exact but where it sees zeros beside the image,
    and there too if the means are equal. The stem is left if this is not
    possible.

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
              other_classes: Optional[OtherClasses]) -> Started:
        taking = _Taking(student, teacher, other_classes)
        if self.modules is None:
            _choose(taking)
        else:
            for name in self.modules:
                find_module(student, name, 'student')
                find_module(teacher.model, name, 'teacher')
                for layer in layers_in(student, name):
                    taking.take(layer, any_role=True)
        taking.leave_torn()
        taking.fit_stem(must_fit=self.modules is None)
        if not taking.values:
            self.refuse_empty(
                teacher, taking.left, 'Name modules that the two have in '
                'common (Inherit.modules), or leave start out')
        return taking.finish()


def _choose(taking: '_Taking') -> None:
    """Take the default layers: neck, heads, stem and equal stages."""
    student, both = taking.student, (taking.student, taking.teacher.model)
    for part in _AFTER_BACKBONE:
        if _have(part, *both):
            for layer in layers_in(student, part):
                taking.take(layer)
    if not _have('backbone', *both):
        return
    if is_pretrained(student):
        taking.leave('the backbone has weights of its own (init_cfg)',
                     dict(tensors_in(student, 'backbone')))
        return
    for stage in stages_of(student):
        if agree(stage, *both):
            for layer in layers_in(student, stage):
                taking.take(layer)
        else:
            taking.leave('the stage is another',
                         dict(tensors_in(student, stage)))
    stem = stem_in(dict(tensors_in(student, 'backbone')), student)
    for layer in layers_in(student, 'backbone'):
        if not layer.keys().isdisjoint(stem):
            taking.take(layer)


class _Taking:
    """What a student takes of its teacher, noted until :meth:`finish`.

    Args:
        student (nn.Module): The student.
        teacher (FrozenTeacher): The teacher.
        other_classes (OtherClasses, optional): How the classes differ.

    Attributes:
        values (dict[str, Tensor]): The new tensors of the student.
        left (dict[str, list[str]]): Reason -> names of those that stay.
        adapted (dict[str, list[str]]): How -> names of those of ``values``
            that are not the teacher's as they are.
    """

    def __init__(self, student: nn.Module, teacher: FrozenTeacher,
                 other_classes: Optional[OtherClasses]) -> None:
        self.student, self.teacher = student, teacher
        self.values: Dict[str, Tensor] = {}
        self.left: Dict[str, List[str]] = {}
        self.adapted: Dict[str, List[str]] = {}
        self._others = other_classes
        self._source = teacher.model.state_dict()
        self._own = student.state_dict()
        self._rows: Dict[str, int] = {}

    def leave(self, reason: str, layer: Collection[str]) -> None:
        """Leave the tensors of these names as they are."""
        self.left.setdefault(reason, []).extend(layer)
        for name in layer:
            self.values.pop(name, None)
            self._rows.pop(name, None)

    def take(self, layer: Layer, any_role: bool = False) -> None:
        """Take a layer, if it can be taken."""
        values: Layer = {}
        for name, tensor in layer.items():
            reason = self._why_not(name, any_role)
            values[name] = self._source.get(name)
            if reason is None and self._others:
                reason = self._take_rows(name, tensor, values)
            elif reason is None and values[name].shape != tensor.shape:
                reason = 'the teacher\'s has another shape'
            if reason is not None:
                # A bias without its weight would mean nothing: all tensors
                # of a layer are taken, or none.
                self.leave(reason, layer)
                return
        self.values.update(values)

    def _why_not(self, name: str, any_role: bool) -> Optional[str]:
        if not isinstance(self._source.get(name), Tensor):
            return 'the teacher has none of that name'
        return None if any_role else other_role(name, self.student,
                                                self.teacher.model)

    def _take_rows(self, name: str, tensor: Tensor,
                   values: Layer) -> Optional[str]:
        """Of a tensor by class, take the rows of the classes of both."""
        found = class_rows(name, self.student, self.teacher.model,
                           self._others)
        if found is not None:
            own, given = found
            mixed = self._own[name].clone()
            mixed[own] = values[name][given].to(mixed)
            values[name], self._rows[name] = mixed, len(own)
            return None
        if values[name].shape != tensor.shape:
            return 'the teacher\'s has another shape'
        if is_by_class(name, tensor, self.student):
            return 'the classes are others'
        return None

    def leave_torn(self) -> None:
        """Leave layers that are shared, where the teacher's are several."""
        layers = {
            name.rpartition('.')[0]
            for name in torn(self.student, self.values)
        }
        names = [n for n in self.values if n.rpartition('.')[0] in layers]
        if names:
            self.leave('the layer is shared, the teacher has several', names)

    def fit_stem(self, must_fit: bool) -> None:
        """Fit the stem to the student's images.

        Args:
            must_fit (bool): Whether to leave a stem that cannot be fitted.
        """
        stem = stem_in(self.values, self.student)
        way = pixel_way(self.student, self.teacher) if stem else None
        if way is None:
            return
        folded = None if isinstance(way, str) else fold_stem(
            self.student, way, self.values)
        if folded is not None:
            self.values.update(folded.tensors)
            how = 'are changed to fit the student\'s normalization'
            if not folded.is_exact:
                how += ' (exact but at the borders of an image)'
            self.adapted[how] = list(folded.tensors)
        elif must_fit:
            self.leave('the two normalize images differently', stem)

    def finish(self) -> Started:
        """Change the student."""
        with torch.no_grad():
            for name, tensor in self.values.items():
                self._own[name].copy_(tensor)
        counts = {name: value.numel() for name, value in self.values.items()}
        counts.update((name, rows * self.values[name][0].numel())
                      for name, rows in self._rows.items())
        if self._rows:
            self.adapted[
                f'in {plural(sum(self._rows.values()), "row")} of the '
                f'{plural(self._others.shared, "class")} that both '
                'know'] = list(self._rows)
        changed = {name for names in self.adapted.values() for name in names}
        return Started([name for name in self.values if name not in changed],
                       share_of(self.student, counts), self.left, self.adapted,
                       sum(self._rows.values()))


def _have(part: str, *models: nn.Module) -> bool:
    return all(
        isinstance(getattr(model, part, None), nn.Module) for model in models)
