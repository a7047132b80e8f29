# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional

from torch import nn

from mmw2s.registry import RECIPES
from mmw2s.utils.kinds import is_kind
from .base import Recipe, feature_entry, modules
from .comparable import comparable_entries

__all__ = ['SegmentationRecipe']

# In training they give more maps than a frozen teacher does, of equal sizes.
_OTHER_MAPS_IN_TRAINING = ('DDRNet', 'PIDNet')


@RECIPES.register_module()
class SegmentationRecipe(Recipe):
    """For mmseg's segmentors: the scores of pixels, or else features.

    The scores are compared as in `CWD <https://arxiv.org/abs/2011.13256>`_,
    with the paper's temperature of 4 and weight of 3: where in the image a
    class is, and not how the classes share a pixel. So a head with sigmoids,
    or with one map for two classes, is treated like any other. Auxiliary heads
    and the first heads of a cascade are left to the student's own loss.

    What the features would add was not seen in a short trial, and they cost a
    projection of wide maps, so they are for models whose scores cannot be
    compared: mask transformers, and teachers of other classes. They are those
    of the neck or backbone, by ``PKDLoss`` as for detectors, because it does
    not depend on their scale. No weight is published. At 0.1 its gradient in
    the backbone was 0.4 to 2 times the task's in the first 100 steps of small
    models with a trained teacher; that of the scores was 2 to 5 times.
    """

    def matches(self, student: nn.Module) -> bool:
        return is_kind(student, 'BaseSegmentor')

    def distill(self,
                student: nn.Module,
                teacher: nn.Module,
                other_classes: Optional[str] = None) -> List[dict]:
        choices = [[_scores(student, teacher)]]
        if not any(
                is_kind(
                    getattr(model, 'backbone', None), *_OTHER_MAPS_IN_TRAINING)
                for model in (student, teacher)):
            choices.append([feature_entry(student, teacher, 0.1)])
        return comparable_entries(choices, student, teacher, other_classes)


def _scores(student: nn.Module, teacher: nn.Module) -> dict:
    named = modules(
        _scoring_layer(student), _scoring_layer(teacher),
        'decode_head.conv_seg')
    return dict(
        knowledge=dict(type='PixelScores', **named),
        loss=dict(type='CWDLoss', tau=4., loss_weight=3.))


def _scoring_layer(model: nn.Module) -> str:
    """Name of the layer that scores pixels, whether the model has it or not.

    A cascade has a list of heads, the last of which predicts.
    """
    head = getattr(model, 'decode_head', None)
    last = f'.{len(head) - 1}' if isinstance(head, nn.ModuleList) else ''
    return f'decode_head{last}.conv_seg'
