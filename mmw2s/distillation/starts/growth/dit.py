# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How the ``DiTTransformer2DModel`` of diffusers grows: deeper.

A block adds its two branches times gates, which a linear layer computes from
timestep and class (adaLN-Zero of `DiT <https://arxiv.org/abs/2212.09748>`_). A
new block begins with gates of 0, as the blocks of a new DiT do.

There is no rule for the width: the sines and cosines that tell a wider model
where a patch is are fixed, and no copies of the teacher's.
"""
import torch
from torch import nn

from .depth import spread_blocks
from .rules import CannotGrow, State, growth_rule
from .walk import grow_children

__all__ = ['grow_dit']

# Fields in which student and teacher may differ.
_FREE = {'num_layers', 'dropout'}


@growth_rule('DiTTransformer2DModel')
def grow_dit(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a diffusion transformer.

    Args:
        student (nn.Module): Has as many blocks as the teacher or more.
        teacher (nn.Module): The smaller one.

    Raises:
        CannotGrow: If they differ in more than the number of blocks.
    """
    ours, theirs = student.config, getattr(teacher, 'config', {})
    for key in sorted({*ours, *theirs} - _FREE):
        if key[0] != '_' and ours.get(key) != theirs.get(key):
            raise CannotGrow(
                f'its {key} is {ours.get(key)}, the teacher\'s '
                f'{theirs.get(key)}: make it the same. Of a DiT only the '
                'number of blocks can grow (num_layers), because its sines '
                'and cosines of the place fit one width')
    names = [n for n, _ in student.named_children()
             if n != 'transformer_blocks']
    state = grow_children(student, teacher, names)
    # The first block stays the first: its embeddings of timestep and class are
    # used behind the last one too.
    blocks = spread_blocks(ours['num_layers'], theirs['num_layers'])
    for i, j in enumerate(blocks):
        place = f'transformer_blocks.{i}'
        if j is None:
            gates = student.transformer_blocks[i].norm1.linear.state_dict()
            grown = {
                f'norm1.linear.{name}': torch.zeros_like(tensor)
                for name, tensor in gates.items()
            }
        else:
            grown = teacher.transformer_blocks[j].state_dict()
        state.update({f'{place}.{name}': t for name, t in grown.items()})
    return state
