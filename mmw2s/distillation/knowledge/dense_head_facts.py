# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Facts about dense heads: whether they can be read, and their anchors."""
import inspect
from typing import List, Optional, Union

from torch import nn

from mmw2s.utils.kinds import is_kind

__all__ = ['activation_of', 'anchor_counts', 'anchors_of', 'why_unreadable']

# These heads learn class scores only at objects. Elsewhere the scores mean
# nothing without the objectness.
_SCORES_AT_OBJECTS = ('YOLOXHead', 'AutoAssignHead')


def why_unreadable(head: nn.Module) -> Optional[str]:
    """Why a module's outputs cannot be read anchor by anchor.

    Returns:
        str, optional: For a message. None if they can be read.
    """
    # YOLOv3 has anchors, but one map for scores and boxes.
    if not (hasattr(head, 'prior_generator')
            and hasattr(head, 'cls_out_channels')):
        return 'not a dense head with a prior_generator and scores apart'
    if is_kind(head, *_SCORES_AT_OBJECTS):
        return 'whose class scores mean nothing where there is no object'
    # GLIP's head is given the words too, and has a score for each of them.
    needed = [
        name
        for name, given in inspect.signature(head.forward).parameters.items()
        if given.default is given.empty and given.kind in (
            given.POSITIONAL_ONLY, given.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) > 1:
        return ('whose scores do not follow from the maps alone (its forward '
                f'is given {", ".join(needed)})')
    return None


def activation_of(head: nn.Module) -> str:
    """How a head turns logits into scores: ``'sigmoid'`` or ``'softmax'``."""
    sigmoid = head.use_sigmoid_cls if hasattr(head, 'use_sigmoid_cls') else \
        getattr(getattr(head, 'loss_cls', None), 'use_sigmoid', True)
    return 'sigmoid' if sigmoid else 'softmax'


def anchors_of(head: nn.Module) -> list:
    """The anchors of each level, as (x1, y1, x2, y2) about a location.

    In pixels, to three decimals. A head on points has texts in their place.
    """
    base = getattr(head.prior_generator, 'base_anchors', None)
    if base is None:
        return [['a point'] * n for n in head.prior_generator.num_base_priors]
    return [[tuple(round(v, 3) for v in anchor) for anchor in level.tolist()]
            for level in base]


def anchor_counts(anchors: list) -> Union[int, List[int]]:
    """Number of anchors at a location, as one number if all levels agree."""
    counts = [len(level) for level in anchors]
    return counts if len(set(counts)) > 1 else counts[0]
