# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Maps whose scale no loss holds, before a head of the teacher's."""
import logging
from typing import Sequence, Set

from mmengine.logging import print_log
from torch import nn

from mmw2s.utils.kinds import is_kind
from ..terms import Term
from .base import Started

__all__ = ['warn_of_free_scale']

_HEADS = ('rpn_head', 'roi_head', 'bbox_head', 'mask_head', 'head')
_NORMS = ('_BatchNorm', 'SyncBatchNorm', 'GroupNorm', 'LayerNorm',
          '_InstanceNorm')


def warn_of_free_scale(student: nn.Module, started: Started,
                       terms: Sequence[Term]) -> None:
    """Warn of a teacher's head on maps that are like the teacher's but for
    their mean or scale.

    A loss such as ``PKDLoss`` is 0 for maps of any mean and scale, but the
    head that was taken over reads absolute values. A norm between the two, in
    the neck or the head, makes it harmless. So does another loss of the same
    maps.

    Args:
        student (nn.Module): The student, without wrappers.
        started (Started): What it has taken over.
        terms (Sequence[Term]): What is distilled.
    """
    names = set(started.taken).union(*started.adapted.values())
    heads = [
        head for head in _HEADS if any(
            name.startswith(f'{head}.') for name in names)
    ]
    on_maps = [
        term for term in terms
        if (term.knowledge.gives or '').startswith('feature maps')
        and getattr(term.loss, 'loss_weight', 1)
    ]
    free_of = {t.key: getattr(t.loss, 'leaves_free', None) for t in on_maps}
    held = {t.knowledge.module for t in on_maps if free_of[t.key] is None}
    for term in on_maps:
        free, module = free_of[term.key], term.knowledge.module
        if free is None or module in held:
            continue
        bare = [
            head for head in heads
            if not _norms_behind(student, module) & {'', head}
        ]
        if bare:
            print_log(
                f'{term.key}: {type(term.loss).__name__} leaves the {free} of '
                f'the maps of {module} free, but {" and ".join(bare)} '
                'began as the teacher\'s and reads their values as they are, '
                'without a norm in between: the start may be lost again. '
                'Compare the values themselves, '
                'loss=dict(type="MSEKDLoss", loss_weight="auto"), or give '
                'neck or head a norm_cfg (such as GN) in both models',
                logger='current',
                level=logging.WARNING)


def _norms_behind(student: nn.Module, module: str) -> Set[str]:
    """The heads with a norm; '' if there is one before all of them.

    Norms in the backbone count from ``module`` on; those of a neck, and of a
    head, wherever they are.
    """
    found, is_behind = set(), False
    for name, part in student.named_modules():
        root = name.split('.')[0]
        is_behind = is_behind or name == module
        if not is_kind(part, *_NORMS):
            continue
        if root in _HEADS:
            found.add(root)
        elif root == 'neck' or (is_behind
                                and not name.startswith(f'{module}.')):
            found.add('')
    return found
