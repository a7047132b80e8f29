# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Heads that look at the flattened maps of boxes."""
from torch import nn

from .rules import State, growth_rule, refuse_other_class
from .walk import grow_children
from .widths import copied, factor, split

__all__ = ['grow_bbox_head']


@growth_rule('ConvFCBBoxHead')
def grow_bbox_head(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a RoI head of boxes.

    Its first linear layers see maps of C channels as one row of C * H * W
    numbers: all places of a channel come before the next channel. So the
    copies of a number are H * W apart, not beside each other.

    Args:
        student (nn.Module): Has a whole multiple of the teacher's channels.
        teacher (nn.Module): The narrow one.
    """
    refuse_other_class(student, teacher)
    state = grow_children(student, teacher, widen=True)
    area = 1 if teacher.with_avg_pool else teacher.roi_feat_area
    shared = ['shared_fcs.0'] if teacher.num_shared_fcs else [
        f'{branch}_fcs.0'
        if getattr(teacher, f'num_{branch}_fcs') else f'fc_{branch}'
        for branch in ('cls', 'reg')
    ]
    theirs = dict(teacher.named_modules())
    for name in shared if area > 1 else ():
        if name not in theirs:  # without boxes, say
            continue
        weight = theirs[name].weight
        wide = student.get_submodule(name).weight
        k = factor(wide.shape[1], weight.shape[1], 'inputs')
        grown = copied(weight, factor(wide.shape[0], weight.shape[0],
                                      'outputs'))
        state[f'{name}.weight'] = split(grown.unflatten(1, (-1, area)),
                                        k).flatten(1)
    return state
