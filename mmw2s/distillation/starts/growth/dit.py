# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The ``DiTTransformer2DModel`` of diffusers, of more blocks."""
from torch import nn

from ..layers import tensors_of
from .parts import part, refuse_other_settings, spread_blocks, zeros
from .rules import CannotGrow, State, growth_rule, refuse_other_class
from .walk import grow_children

__all__ = ['grow_dit']

# The widths have a message of their own.
_WIDTHS = ('num_attention_heads', 'attention_head_dim')
_FREE = {'num_layers', 'dropout', *_WIDTHS}


@growth_rule('DiTTransformer2DModel')
def grow_dit(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a diffusion transformer.

    A block adds its two branches times gates, which a linear layer computes
    from the timestep and the class (adaLN-Zero of `DiT
    <https://arxiv.org/abs/2212.09748>`_). A new block begins with gates of 0,
    as all the blocks of a new DiT do.

    There is no rule for the width: the sines and cosines that tell where a
    patch is are fixed for each width, and no copies of the teacher's.

    Args:
        student (nn.Module): Has as many blocks as the teacher or more.
        teacher (nn.Module): The smaller one.

    Raises:
        CannotGrow: If they differ in more than the number of blocks.
    """
    refuse_other_class(student, teacher)
    refuse_other_settings(student, teacher, _FREE)
    for key in _WIDTHS:
        if student.config[key] != teacher.config[key]:
            raise CannotGrow(
                f'its {key} is {student.config[key]}, the teacher\'s '
                f'{teacher.config[key]}: a DiT can only become deeper '
                '(num_layers), because each width has other sines and cosines '
                'of the places. Make it the same')
    state = grow_children(student, teacher, leave=['transformer_blocks'])
    own, given = student.transformer_blocks, teacher.transformer_blocks
    # The first block stays the first: its embedding of timestep and class is
    # used behind the last one too.
    for i, j in enumerate(spread_blocks(len(own), len(given))):
        if j is None:
            state.update(
                part(f'transformer_blocks.{i}.norm1.linear', zeros,
                     own[i].norm1.linear))
        else:
            state.update(part(f'transformer_blocks.{i}', tensors_of, given[j]))
    return state
