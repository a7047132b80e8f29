# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Which module of a model gives maps, for defaults and for messages."""
from typing import Optional

from torch import nn

from mmw2s.utils.kinds import is_kind

__all__ = ['feature_knowledge', 'feature_module']


def feature_module(model: nn.Module) -> Optional[str]:
    """Name of the module that gives a model's maps: its neck or backbone.

    Of several, as the detectors of a semi-supervised one, the first of the
    outermost. Maps after the neck are preferred, being what heads look at;
    that of a classifier pools them away.

    Args:
        model (nn.Module): Of any kind.

    Returns:
        str, optional: Its dotted name; None if none is known by its name.
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
    """The knowledge to propose instead of another, with its modules."""
    names = feature_module(student), feature_module(teacher)
    if None in names:
        return 'knowledge FPNFeatures, of modules that give maps'
    said = 'knowledge FPNFeatures'
    if names != ('neck', 'neck'):
        said += f', module="{names[0]}"'
    return said if names[0] == names[1] else \
        f'{said}, teacher_module="{names[1]}"'
