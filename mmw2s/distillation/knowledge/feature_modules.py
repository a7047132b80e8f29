# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Finds the module of a model that gives maps, by its name."""
from typing import Optional

from torch import nn

from mmw2s.utils.kinds import is_kind

__all__ = ['feature_knowledge', 'feature_module']


def feature_module(model: nn.Module) -> Optional[str]:
    """Name of the module that gives a model's maps: its neck or backbone.

    The neck comes first, because heads look at its maps. The neck of a
    classifier is left out: it pools the maps. If there are several, as in a
    semi-supervised detector, the first of the outermost ones is taken.

    Args:
        model (nn.Module): A model of any kind.

    Returns:
        str, optional: The dotted name. None if no module has a known name.
    """
    known = ['neck', 'backbone', 'image_encoder']
    if is_kind(model, 'BaseClassifier'):
        known.remove('neck')
    for kind in known:
        found = [
            name for name, module in model.named_modules()
            if name.rpartition('.')[2] == kind
            and not isinstance(module, nn.Identity)
        ]
        if found:
            return min(found, key=lambda name: name.count('.'))
    return None


def feature_knowledge(student: nn.Module, teacher: nn.Module) -> str:
    """A proposal for messages: the knowledge of features and its modules."""
    names = feature_module(student), feature_module(teacher)
    if None in names:
        return 'knowledge FPNFeatures, of modules that give maps'
    said = 'knowledge FPNFeatures'
    if names != ('neck', 'neck'):
        said += f', module="{names[0]}"'
    return said if names[0] == names[1] else \
        f'{said}, teacher_module="{names[1]}"'
