# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, List

from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.kinds import is_kind
from mmw2s.utils.text import plural
from ..teacher_outputs import TeacherOutputs
from .base import Pair, Recorded
from .box_masks import box_masks
from .feature_maps import FPNFeatures

__all__ = ['FocalFeatures']

_HEADS = ('bbox_head', 'rpn_head', 'roi_head')
_INSTEAD = 'Use FPNFeatures, with a loss such as PKDLoss'


@KNOWLEDGE.register_module()
class FocalFeatures(FPNFeatures):
    r"""Feature maps, with the places of the labeled objects.

    Each pair of maps has a weight of shape (B, 2, H, W), a foreground and a
    background, made of the boxes that the student is trained on
    (``gt_instances.bboxes`` of the batch). A location of a map is a cell of
    the image, and is in a box if the two overlap. With the height
    :math:`h_r` and width :math:`w_r` of box :math:`r` in such cells, the
    weights of `FGD <https://arxiv.org/abs/2111.11837>`_ are

    .. math::
        f_l = \max_{r \ni l} \frac{1}{h_r w_r} , \qquad
        b_l = \frac{1}{N} \text{ for the } N \text{ locations in no box}

    and 0 elsewhere. So all boxes weigh the same, whatever their size, and of
    boxes that overlap the smallest counts. All levels have all boxes. The
    padding of an image is background, as are objects that are ignored. (The
    paper's code counts a row and a column more of each box, and stretches an
    image without its padding over the whole map.)

    Everything else is as in :class:`FPNFeatures`. The teacher may see smaller
    images (``teacher.scale``), because the places are those of the student's
    images.

    The weights are for :class:`~mmw2s.models.losses.FGDLoss`. Other losses are
    refused.

    Args:
        module (str): As in :class:`FPNFeatures`. Defaults to ``'neck'``.
        teacher_module (str, optional): The teacher's module. Defaults to the
            same name.
        levels (Sequence[int], optional): As in :class:`FPNFeatures`.
            Defaults to None.
        seed (int): Seed of the random projections. Defaults to 0.
        adapter (str): As in :class:`FPNFeatures`. Where the channels differ,
            FGD has ``'trained'``. Defaults to ``'fixed'``.

    Raises:
        ValueError: As in :class:`FPNFeatures`; from :meth:`check`, if the
            student is no detector; from :meth:`pairs`, if an image has no
            ``gt_instances``, or its boxes are not of 4 numbers.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='FocalFeatures'),
        >>>     loss=dict(type='FGDLoss'))]
    """

    name = 'focal'
    gives = 'feature maps with boxes'
    strict = True

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse a student that is trained without boxes."""
        super().check(student, teacher)
        if not is_kind(student, 'BaseDetector') and all(
                getattr(student, head, None) is None for head in _HEADS):
            raise ValueError(
                f'FocalFeatures needs the boxes of objects, but the student '
                f'({type(student).__name__}) is no detector. {_INSTEAD}')

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        # The student's own, also where the teacher is shown other images.
        boxes = outputs.memo((FocalFeatures, 'boxes'), _boxes_of,
                             outputs.data_samples)
        pairs = []
        for pair in super().pairs(recorded, outputs):
            if len(pair.student) != len(boxes):
                raise ValueError(
                    f'{pair.name} has maps of '
                    f'{plural(len(pair.student), "image")}, but the batch has '
                    f'the boxes of {len(boxes)}. {_INSTEAD}')
            size = tuple(pair.student.shape[2:])
            masks = outputs.memo((FocalFeatures, size), box_masks, boxes,
                                 outputs.image_size, size)
            pairs.append(pair._replace(weight=masks))
        return pairs


def _boxes_of(data_samples: Any) -> List[Tensor]:
    """The boxes of each image, shape (N, 4)."""
    boxes = []
    for i, sample in enumerate(data_samples or [None]):
        labeled = getattr(sample, 'gt_instances', None)
        found = getattr(labeled, 'bboxes', None)
        if found is None:
            missing = 'no gt_instances.bboxes' if data_samples else \
                'no list of data samples'
            raise ValueError(
                'FocalFeatures needs the boxes of each image in '
                f'gt_instances.bboxes of its data sample, but the batch has '
                f'{missing}' + (f' at image {i}' if data_samples else '') +
                ': load them (LoadAnnotations(with_bbox=True) and '
                f'PackDetInputs in the train pipeline). {_INSTEAD}')
        found = getattr(found, 'tensor', found)  # of mmdet's BaseBoxes
        if found.dim() != 2 or found.shape[1] != 4:
            raise ValueError(
                'FocalFeatures needs boxes of 4 numbers (x1, y1, x2, y2), but '
                f'image {i} has a {type(labeled.bboxes).__name__} of shape '
                f'{tuple(found.shape)}. {_INSTEAD}')
        boxes.append(found)
    return boxes
