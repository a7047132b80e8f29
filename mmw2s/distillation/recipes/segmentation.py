# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional

from torch import nn

from mmw2s.registry import RECIPES
from mmw2s.utils.kinds import is_kind
from .base import Recipe, maps_module, modules
from .comparable import comparable_entries

__all__ = ['SegmentationRecipe']

# In training they give maps that a frozen teacher does not, of equal size.
_OTHER_MAPS_IN_TRAINING = ('DDRNet', 'PIDNet')


@RECIPES.register_module()
class SegmentationRecipe(Recipe):
    """For mmseg's segmentors: the scores of their pixels, and features.

    The scores are compared as in `CWD <https://arxiv.org/abs/2011.13256>`_,
    with the paper's temperature of 4 and weight of 3. It compares where in
    the image a class is, and not how the classes share a pixel, so a head
    with sigmoids or with a single map is treated like any other. Of auxiliary
    heads and of the first heads of a cascade nothing is taken: they are there
    for the student's own loss.

    The features are those of the neck or backbone, compared by ``PKDLoss`` as
    a detector's are, because it does not depend on their scale. They are all
    that is left of mask transformers, and of a teacher of other classes.
    """

    def matches(self, student: nn.Module) -> bool:
        return is_kind(student, 'BaseSegmentor')

    def distill(self,
                student: nn.Module,
                teacher: nn.Module,
                other_classes: Optional[str] = None) -> List[dict]:
        entries = []
        if not any(
                is_kind(getattr(model, 'backbone', None), *
                        _OTHER_MAPS_IN_TRAINING)
                for model in (student, teacher)):
            named = modules(maps_module(student), maps_module(teacher), 'neck')
            entries.append(
                dict(
                    knowledge=dict(type='FPNFeatures', **named),
                    loss=dict(type='PKDLoss', loss_weight=1.)))
        named = modules(
            _scores_of(student), _scores_of(teacher), 'decode_head.conv_seg')
        entries.append(
            dict(
                knowledge=dict(type='PixelScores', **named),
                loss=dict(type='CWDLoss', tau=4., loss_weight=3.)))
        return comparable_entries(entries, student, teacher, other_classes)


def _scores_of(model: nn.Module) -> str:
    """Name of the layer that scores pixels, whether the model has it or not.

    A cascade has a list of heads, the last of which predicts.
    """
    head = getattr(model, 'decode_head', None)
    if isinstance(head, nn.ModuleList):
        return f'decode_head.{len(head) - 1}.conv_seg'
    return 'decode_head.conv_seg'
