# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional

from torch import nn

from mmw2s.distillation.knowledge.dense_head_facts import activation_of
from mmw2s.registry import RECIPES
from mmw2s.utils.kinds import is_kind
from .base import Recipe, feature_entry, modules
from .comparable import comparable_entries
from .head_weights import feature_weight, score_weight

__all__ = ['DetectionRecipe']


@RECIPES.register_module()
class DetectionRecipe(Recipe):
    """For detectors: features. In full, also what the heads give.

    With the scores the teacher's heads run too, which makes a step dearer, and
    with a weak teacher students end lower than with its features alone: see
    docs/results.md. Where the features cannot be compared, the scores are
    taken in their place.
    """

    def matches(self, student: nn.Module) -> bool:
        """Whether it is a detector with a backbone."""
        if not hasattr(student, 'backbone'):
            return False
        heads = ('bbox_head', 'rpn_head', 'roi_head')
        return is_kind(student, 'BaseDetector') or any(
            getattr(student, head, None) is not None for head in heads)

    def distill(self,
                student: nn.Module,
                teacher: nn.Module,
                other_classes: Optional[str] = None) -> List[dict]:
        features, *scores = _entries(student, teacher)
        return comparable_entries([[features], scores], student, teacher,
                                  other_classes)

    def distill_in_full(self,
                        student: nn.Module,
                        teacher: nn.Module,
                        other_classes: Optional[str] = None) -> List[dict]:
        return comparable_entries([_entries(student, teacher)], student,
                                  teacher, other_classes)


def _entries(student: nn.Module, teacher: nn.Module) -> List[dict]:
    head = getattr(student, 'bbox_head', None)
    if head is None and (hasattr(student, 'rpn_head')
                         or hasattr(student, 'roi_head')):
        entries = [_features(student, teacher, loss_weight=6.)]
        if hasattr(student, 'rpn_head'):
            entries.append(_rpn_scores(student, teacher))
        if hasattr(student, 'roi_head'):
            entries.append(
                dict(
                    knowledge=dict(type='RoIHeadOutputs'),
                    loss=dict(type='KDLoss', temperature=1., loss_weight=1.)))
        return entries
    entries = [_features(student, teacher, loss_weight=10.)]
    if _is_rpn(student):
        entries.append(_rpn_scores(student, teacher))
    elif head is not None:
        entries.append(_dense_scores('DenseHeadOutputs', head))
    return entries


def _is_rpn(model: nn.Module) -> bool:
    # mmdet's detector `RPN` has its RPNHead as its bbox_head. Two-stage
    # detectors have an rpn_head.
    return is_kind(getattr(model, 'bbox_head', None), 'RPNHead')


def _proposals_of(model: nn.Module) -> str:
    return 'bbox_head' if _is_rpn(model) else 'rpn_head'


def _features(student: nn.Module, teacher: nn.Module,
              loss_weight: float) -> dict:
    return feature_entry(student, teacher,
                         feature_weight(student, loss_weight))


def _rpn_scores(student: nn.Module, teacher: nn.Module) -> dict:
    module = _proposals_of(student)
    return _dense_scores('RPNOutputs', student.get_submodule(module),
                         **modules(module, _proposals_of(teacher), 'rpn_head'))


def _dense_scores(kind: str, head: nn.Module, **named: str) -> dict:
    if activation_of(head) == 'sigmoid':
        loss = dict(type='QualityFocalKDLoss', loss_weight=score_weight(head))
    else:
        # Summed over all anchors and divided by the few positives: at the
        # weight 1 of other heads it would be many times the task's loss.
        loss = dict(type='KDLoss', temperature=1., loss_weight='auto')
    return dict(knowledge=dict(type=kind, **named), loss=loss)
