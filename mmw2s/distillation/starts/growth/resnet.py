# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""ResNets of more blocks a stage, more channels, or both."""
import re
from typing import List

import torch
from torch import nn

from mmw2s.utils.kinds import is_kind
from .parts import part
from .rules import CannotGrow, State, growth_rule
from .walk import grow_children

__all__ = ['grow_resnet']

_STAGE = re.compile(r'layer\d+')


@growth_rule('ResNet')
def grow_resnet(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a ResNet, or one of its relatives, of blocks of the same kind.

    A stage's new blocks come last. The last norm of each has weight and bias
    0, so the block adds nothing to what it is given, and the ReLU behind it
    changes nothing, because what it is given comes out of a ReLU. So it is
    exact with batch statistics too. Layers of more channels are grown by
    :func:`~.widths.grow_layer`.

    Args:
        student (nn.Module): Of mmdet, mmpretrain, timm or torchvision.
        teacher (nn.Module): Of the same package.

    Raises:
        CannotGrow: If the blocks are of another kind, or fewer.
    """
    if not is_kind(teacher, 'ResNet'):
        raise CannotGrow(f'the student has a {type(student).__name__} here, '
                         f'the teacher a {type(teacher).__name__}')
    stages = _stages(student)
    if stages != _stages(teacher):
        raise CannotGrow(f'it has {len(stages)} stages, the teacher\'s '
                         f'{len(_stages(teacher))}')
    state = grow_children(student, teacher, leave=stages, widen=True)
    for name in stages:
        state.update(
            part(name, _grow_stage, getattr(student, name),
                 getattr(teacher, name)))
    return state


def _stages(backbone: nn.Module) -> List[str]:
    return [
        name for name, _ in backbone.named_children() if _STAGE.fullmatch(name)
    ]


def _grow_stage(student: nn.Module, teacher: nn.Module) -> State:
    kinds = [type(stage[0]).__name__ for stage in (student, teacher)]
    if kinds[0] != kinds[1]:
        raise CannotGrow(
            f'its blocks are of {kinds[0]}, the teacher\'s of {kinds[1]}, '
            'and none computes what the other does; a teacher of the same '
            'blocks may be shallow (ShallowResNet)')
    old = [name for name, _ in teacher.named_children()]
    new = [name for name, _ in student.named_children()][len(old):]
    if len(student) < len(teacher):
        raise CannotGrow(
            f'it has {len(student)} blocks, the teacher\'s {len(teacher)}: a '
            'student grows, it does not shrink')
    state = grow_children(student, teacher, leave=new, widen=True)
    for name in new:
        state.update(part(name, _add_nothing, student.get_submodule(name)))
    return state


def _add_nothing(block: nn.Module) -> State:
    """Zeros for the last norm of a residual block's branch."""
    norms = [(name, child) for name, child in block.named_children()
             if is_kind(child, '_BatchNorm', 'GroupNorm')]
    if not norms or norms[-1][1].weight is None:
        raise CannotGrow(
            'a new block has to end in a norm with a weight and a bias, '
            'which can be 0')
    if getattr(block, 'downsample', None) is not None:
        raise CannotGrow('a new block changes the shape of the maps')
    name, norm = norms[-1]
    return {
        f'{name}.{key}': torch.zeros_like(getattr(norm, key))
        for key in ('weight', 'bias')
    }
