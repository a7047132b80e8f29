# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The ``VisionTransformer`` of mmpretrain, of more channels and layers."""
import torch
from torch import nn

from ..layers import tensors_of
from .heads import Heads
from .parts import part, spread_blocks, zeros
from .rules import CannotGrow, State, growth_rule, refuse_other_class
from .walk import grow_children, grow_module
from .widths import copied, factor, split

__all__ = ['grow_layer_scale', 'grow_vit']

# Attributes of two transformers that have to be equal.
_SAME = ('out_type', 'with_cls_token', 'final_norm')


@growth_rule('VisionTransformer')
def grow_vit(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a vision transformer, or one of its relatives.

    - Width: each channel has as many copies as any other, so a ``LayerNorm``
      finds the teacher's mean and variance.
    - Depth: both branches of a new layer end in zeros, as in `LEMON
      <https://arxiv.org/abs/2310.07999>`_, so it passes on its input.

    Args:
        student (nn.Module): Its ``embed_dims``, ``num_heads`` and
            ``feedforward_channels`` are whole multiples of the teacher's. It
            has as many layers or more.
        teacher (nn.Module): The smaller one.

    Raises:
        CannotGrow: If they differ in more.
    """
    _refuse_others(student, teacher)
    width = factor(student.embed_dims, teacher.embed_dims,
                   'channels (embed_dims)')
    # The tokens, and the embedding of the places: shape (1, tokens, C).
    state = {
        name: copied(tensor, width, -1)
        for name, tensor in tensors_of(teacher).items() if '.' not in name
    }
    for name, child in student.named_children():
        if name != 'layers' and tensors_of(child):
            state.update(
                part(name, grow_module, child, getattr(teacher, name), True))
    blocks = spread_blocks(len(student.layers), len(teacher.layers))
    for i, j in enumerate(blocks):
        layer = student.layers[i]
        grown = part(f'layers.{i}', _new_layer, layer) if j is None else \
            part(f'layers.{i}', _grow_layer, layer, teacher.layers[j])
        state.update(grown)
    return state


@growth_rule('LayerScale')
def grow_layer_scale(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a factor for each channel."""
    own = tensors_of(student)
    return {
        name: copied(tensor, factor(len(own[name]), len(tensor), 'channels'))
        for name, tensor in tensors_of(teacher).items()
    }


def _refuse_others(student: nn.Module, teacher: nn.Module) -> None:
    refuse_other_class(student, teacher)
    for name in _SAME:
        own, given = (getattr(m, name, None) for m in (student, teacher))
        if own != given:
            raise CannotGrow(f'its {name} is {own}, the teacher\'s {given}: '
                             'make it the same')
    own, given = _patches(student), _patches(teacher)
    if own != given:
        raise CannotGrow(f'it sees {own}, the teacher {given}: give both '
                         'the same img_size and patch_size')
    depths = [len(m.layers) for m in (student, teacher)]
    outs = [list(m.out_indices) for m in (student, teacher)]
    if outs != [[depth - 1] for depth in depths] and \
            (depths[0] != depths[1] or outs[0] != outs[1]):
        raise CannotGrow(
            f'its out_indices are {outs[0]} of {depths[0]} layers, the '
            f'teacher\'s {outs[1]} of {depths[1]}: a deeper one can give the '
            'last layer alone, out_indices=-1')


def _patches(model: nn.Module) -> str:
    size = model.patch_embed.projection.kernel_size
    return '{} x {} patches of {} x {}'.format(*model.patch_resolution, *size)


def _grow_layer(student: nn.Module, teacher: nn.Module) -> State:
    state = grow_children(student, teacher, leave=['attn'], widen=True)
    state.update(part('attn', _attention, student.attn, teacher.attn))
    return state


def _attention(student: nn.Module, teacher: nn.Module) -> State:
    """Grow an attention, whose copies are of whole heads."""
    for module in (student, teacher):
        if type(module).__name__ != 'MultiheadAttention':
            raise CannotGrow('only a MultiheadAttention of mmpretrain can '
                             f'grow, no {type(module).__name__}')
    heads = Heads.of(student.num_heads, teacher.num_heads, student.embed_dims,
                     teacher.embed_dims)
    width = factor(student.embed_dims, teacher.embed_dims, 'channels')
    state = grow_children(student, teacher, leave=['qkv', 'proj'], widen=True)
    for key, tensor in tensors_of(teacher.qkv).items():
        queries, keys, values = tensor.chunk(3)
        tensor = torch.cat([
            heads.outputs(queries) * heads.query_scale,
            heads.outputs(keys),
            heads.outputs(values)
        ])
        if key == 'weight':
            tensor = split(tensor, width)
        state[f'qkv.{key}'] = tensor
    state.update(part('proj', heads.projection, teacher.proj, width))
    return state


def _new_layer(layer: nn.Module) -> State:
    """A layer that passes on its input: its branches end in zeros."""
    *_, last = [
        name for name, module in layer.ffn.named_modules()
        if isinstance(module, nn.Linear)
    ]
    return {
        **part('attn.proj', zeros, layer.attn.proj),
        **part(f'ffn.{last}', zeros, layer.ffn.get_submodule(last))
    }
