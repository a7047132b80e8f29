# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The rows of a head's tensors that belong to classes."""
from typing import List, NamedTuple, Optional, Set, Tuple

from torch import Tensor, nn

from mmw2s.utils.kinds import is_kind
from ..class_matching import OtherClasses

__all__ = ['class_rows', 'is_by_class']


class _Layout(NamedTuple):
    """How the rows of a tensor belong to classes.

    For each of its groups (the anchors of a dense head) come the rows of all
    classes, one class after the other, and then those of the background.
    """
    groups: int
    of_class: int
    of_background: int

    def rows(self, columns: List[int], classes: int) -> List[int]:
        """The rows of some of the classes, and of the background."""
        length = self.of_class * classes + self.of_background
        inner = [
            self.of_class * column + i for column in columns
            for i in range(self.of_class)
        ] + list(range(length - self.of_background, length))
        return [length * i + j for i in range(self.groups) for j in inner]


def class_rows(name: str, student: nn.Module, teacher: nn.Module,
               other: OtherClasses) -> Optional[Tuple[List[int], List[int]]]:
    """The rows of a tensor that a student can take by the names of classes.

    Known are scores of dense heads (anchor by anchor), of mmdet's RoI heads,
    mask heads and mmpretrain's heads, and a RoI head's boxes by class. A
    background, if there is one, is taken too.

    Args:
        name (str): Name of the tensor in both models.
        student (nn.Module): The student.
        teacher (nn.Module): The teacher's model.
        other (OtherClasses): The classes of the two.

    Returns:
        tuple[list[int], list[int]], optional: Rows of the student's tensor,
        and the teacher's for them. None if it is not known which they are, or
        no class is shared.
    """
    if not other.shared:
        return None
    counts = len(other.columns), other.given
    models = student, teacher
    tensors = [dict(model.named_parameters()).get(name) for model in models]
    if any(t is None or t.dim() == 0 for t in tensors) or \
            tensors[0].shape[1:] != tensors[1].shape[1:]:
        return None
    layouts = [
        _layout(name, len(tensor), model, count)
        for tensor, model, count in zip(tensors, models, counts)
    ]
    if layouts[0] is None or layouts[0] != layouts[1]:
        return None
    own = [i for i, column in enumerate(other.columns) if column is not None]
    given = [other.columns[i] for i in own]
    return layouts[0].rows(own, counts[0]), layouts[1].rows(given, counts[1])


def is_by_class(name: str, tensor: Tensor, student: nn.Module) -> bool:
    """Whether a tensor of a head may have a row for each class.

    Its rows are counted: classes, with a background or what else the head
    tells of a place, or without, once an anchor in a dense head, or boxes of
    four numbers in a RoI head. Others of so many rows count as such too.
    """
    head = _head_of(name, student)
    if head is None or tensor.dim() == 0 or _is_for_all(name, head, student):
        return False
    # PointRend's coarse masks come out of a linear layer.
    times = _anchors(head) or {4, getattr(head, 'output_area', 1)}
    rows = {k * n for n in _scores(head) for k in times | {1}}
    return tensor.shape[0] in rows


def _scores(head: nn.Module) -> Set[int]:
    """How many rows a head of these classes may have for one place."""
    classes = head.num_classes
    found = {classes, classes + 1}
    if hasattr(head, 'num_attrib'):  # YOLOv3: a box and an objectness too
        found.add(head.num_attrib)
    if getattr(head, 'custom_cls_channels', False):  # SeesawLoss
        found.add(head.loss_cls.get_cls_channels(classes))
    return found


def _is_for_all(name: str, head: nn.Module, model: nn.Module) -> bool:
    """Whether a layer is known to have nothing to do with the classes."""
    layer = name.rpartition('.')[0]
    if getattr(_around(layer, model), 'with_activation', False):  # ConvModule
        return True
    if layer.endswith('_reg'):
        return getattr(head, 'reg_class_agnostic', True)
    return is_kind(head, 'BBoxHead') and ('_convs.' in layer
                                          or '_fcs.' in layer)


def _around(layer: str, model: nn.Module) -> nn.Module:
    return model.get_submodule(layer.rpartition('.')[0])


def _head_of(name: str, model: nn.Module) -> Optional[nn.Module]:
    """The module around a tensor that knows a number of classes."""
    path = name.split('.')
    for end in range(len(path) - 1, 0, -1):
        head = model.get_submodule('.'.join(path[:end]))
        if isinstance(getattr(head, 'num_classes', None), int) and \
                not is_kind(head, 'RPNHead'):
            return head
    return None


def _anchors(head: nn.Module) -> Set[int]:
    """Anchors a location, of each level; empty if it has none."""
    found = getattr(head, 'num_base_priors', ())
    return set(found) if isinstance(found, (list, tuple)) else {found}


def _layout(name: str, rows: int, model: nn.Module,
            classes: int) -> Optional[_Layout]:
    """The layout of a tensor, if its layer is known to be one by class."""
    head = _head_of(name, model)
    # A head of other classes than the data's, such as one for stuff. A
    # teacher's outputs may be a part of what its layer was trained for.
    if head is None or \
            getattr(head, 'trained_classes', head.num_classes) != classes or \
            getattr(head, 'class_agnostic', False):
        return None
    layer = name.rpartition('.')[0]
    is_roi_head = is_kind(head, 'BBoxHead')
    if is_roi_head and '_reg' in layer:
        return _Layout(1, 4, 0) if rows == 4 * classes and \
            not head.reg_class_agnostic else None
    if not _gives_scores(layer, model):
        return None
    background = 1 if is_roi_head else \
        getattr(head, 'cls_out_channels', classes) - classes
    groups, rest = divmod(rows, classes + background)
    if rest or background not in (0, 1) or \
            groups not in (_anchors(head) or {1}):
        return None
    return _Layout(groups, 1, background)


def _gives_scores(layer: str, model: nn.Module) -> bool:
    """Whether a layer of a head is its last one, for scores, by its name."""
    if is_kind(_around(layer, model), 'ConvModule'):  # not the last
        return False
    is_classifier = layer.split('.')[0] == 'head'
    return is_classifier or 'cls' in layer or 'logits' in layer
