# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional

from torch import nn

from mmw2s.distillation.knowledge import ClassLogits
from mmw2s.registry import RECIPES
from mmw2s.utils.kinds import is_kind
from .base import Recipe, default_temperature, modules, nothing_known

__all__ = ['ClassificationRecipe']


@RECIPES.register_module()
class ClassificationRecipe(Recipe):
    """For mmpretrain's classifiers: their logits."""

    knowledge = (ClassLogits, )
    # Classifiers keep the lead that a teacher gives for longer: full up to
    # 20 % of the run, and 0 at 50 %.
    hold, decay = 0.18, 0.3

    def matches(self, student: nn.Module) -> bool:
        return is_kind(student, 'BaseClassifier', 'TimmClassifier')

    def distill(self,
                student: nn.Module,
                teacher: nn.Module,
                other_classes: Optional[str] = None) -> List[dict]:
        module = _logits_module(student)
        if module is None:
            raise ValueError(nothing_known(student))
        named = modules(module, _logits_module(teacher) or module, 'head')
        knowledge = dict(type='ClassLogits', **named)
        if is_kind(student.get_submodule(module), 'MultiLabelClsHead'):
            loss = dict(type='QualityFocalKDLoss', loss_weight=3.)
            return [dict(knowledge=knowledge, loss=loss)]
        return [
            dict(
                knowledge=knowledge,
                loss=dict(type='KDLoss', loss_weight=3.),
                temperature=default_temperature())
        ]


def _logits_module(model: nn.Module) -> Optional[str]:
    """Name of the module that gives the logits, or None if not known."""
    if is_kind(model, 'TimmClassifier'):
        return 'model'
    if is_kind(model, 'ModuleClassifier'):
        return 'head'
    head = getattr(model, 'head', None)
    # Models that are no classifiers may have such a head for training alone.
    if not is_kind(model, 'BaseClassifier') or not hasattr(head, 'pre_logits'):
        return None
    # A ConformerHead gives the logits of two branches; one is taken.
    return 'head.conv_cls_head' if is_kind(head, 'ConformerHead') else 'head'
