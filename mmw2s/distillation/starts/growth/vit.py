# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How the ``VisionTransformer`` of mmpretrain grows: wider and deeper.

- Width: by a whole factor, so that each channel has as many copies as any
  other. Mean and variance of a ``LayerNorm`` are then those of the teacher's.
- Depth: both branches of a new block end in zeros, as in `LEMON
  <https://arxiv.org/abs/2310.07999>`_. The block is the identity at first.
"""
from typing import List

import torch
from torch import nn

from .depth import spread_blocks
from .heads import Heads
from .rules import CannotGrow, State, growth_rule
from .walk import grow_children
from .widths import copied, factor, split

__all__ = ['grow_layer_scale', 'grow_vit', 'grow_vit_head']

# Attributes of two transformers that have to be equal.
_SAME = ('out_type', 'with_cls_token', 'num_extra_tokens', 'final_norm')


@growth_rule('VisionTransformer')
def grow_vit(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a vision transformer.

    Args:
        student (nn.Module): Its ``embed_dims``, ``num_heads`` and
            ``feedforward_channels`` are whole multiples of the teacher's. It
            has as many layers or more.
        teacher (nn.Module): The smaller one.

    Raises:
        CannotGrow: If they differ in more.
    """
    _check(student, teacher)
    width = factor(student.embed_dims, teacher.embed_dims,
                   'channels (embed_dims)')
    names = [n for n, _ in student.named_children() if n != 'layers']
    own = [n for n, _ in teacher.named_parameters(recurse=False)]
    state = grow_children(student, teacher, names, widen=True)
    for name in own:  # tokens and the embedding of places
        state[name] = copied(getattr(teacher, name).detach(), width, -1)
    blocks = spread_blocks(len(student.layers), len(teacher.layers))
    for i, j in enumerate(blocks):
        try:
            grown = _new_layer(student.layers[i]) if j is None else \
                _grow_layer(student.layers[i], teacher.layers[j])
        except CannotGrow as error:
            raise error.inside(f'layers.{i}') from error
        state.update({f'layers.{i}.{key}': t for key, t in grown.items()})
    return state


@growth_rule('VisionTransformerClsHead')
def grow_vit_head(student: nn.Module, teacher: nn.Module) -> State:
    """Grow the head of a vision transformer along with its input.

    Raises:
        CannotGrow: If it has other classes, or other layers.
    """
    if student.num_classes != teacher.num_classes:
        raise CannotGrow(f'it has {student.num_classes} classes, the '
                         f'teacher\'s {teacher.num_classes}: take a teacher '
                         'of the same classes, or start=dict(type=\'Inherit\')')
    return grow_children(student, teacher, widen=True)


@growth_rule('LayerScale')
def grow_layer_scale(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a factor for each channel."""
    ours = student.state_dict()
    return {
        name: copied(tensor, factor(len(ours[name]), len(tensor), 'channels'))
        for name, tensor in teacher.state_dict().items()
    }


def _check(student: nn.Module, teacher: nn.Module) -> None:
    if type(student).__name__ != type(teacher).__name__:
        raise CannotGrow(f'it is a {type(student).__name__}, the teacher\'s '
                         f'a {type(teacher).__name__}')
    for name in _SAME:
        ours, theirs = (getattr(m, name, None) for m in (student, teacher))
        if ours != theirs:
            raise CannotGrow(f'its {name} is {ours}, the teacher\'s {theirs}: '
                             'make it the same')
    sizes = [_patches(model) for model in (student, teacher)]
    if sizes[0] != sizes[1]:
        raise CannotGrow(f'it sees {sizes[0]}, the teacher {sizes[1]}: give '
                         'both the same img_size and patch_size')
    outs = [[i - len(m.layers) for i in m.out_indices]
            for m in (student, teacher)]
    deeper = len(student.layers) != len(teacher.layers)
    if outs[0] != outs[1] or (deeper and outs[0] != [-1]):
        raise CannotGrow(
            f'its out_indices are {student.out_indices} of '
            f'{len(student.layers)} layers, the teacher\'s '
            f'{teacher.out_indices} of {len(teacher.layers)}: a deeper one '
            'can give the last layer alone, out_indices=-1')


def _patches(model: nn.Module) -> str:
    size = tuple(model.patch_embed.projection.kernel_size)
    return '{} x {} patches of {} x {}'.format(*model.patch_resolution, *size)


def _grow_layer(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a layer: only the attention has an order of channels of its own."""
    names = [n for n, _ in student.named_children() if n != 'attn']
    state = grow_children(student, teacher, names, widen=True)
    for name, tensor in _attention(student.attn, teacher.attn).items():
        state[f'attn.{name}'] = tensor
    return state


def _attention(student: nn.Module, teacher: nn.Module) -> State:
    for module in (student, teacher):
        if type(module).__name__ != 'MultiheadAttention':
            raise CannotGrow('only a MultiheadAttention of mmpretrain can '
                             f'grow, no {type(module).__name__}', 'attn')
    heads = Heads.of(student.num_heads, teacher.num_heads, student.embed_dims,
                     teacher.embed_dims)
    width = factor(student.embed_dims, teacher.embed_dims, 'channels')
    names = [
        n for n, _ in student.named_children() if n not in ('qkv', 'proj')
    ]
    state = grow_children(student, teacher, names, widen=True)
    for key, tensor in teacher.qkv.state_dict().items():
        if key == 'weight':
            tensor = split(tensor, width)
        query, *others = tensor.chunk(3)
        state[f'qkv.{key}'] = torch.cat([
            heads.outputs(query) * heads.query_scale,
            *map(heads.outputs, others)
        ])
    for key, tensor in teacher.proj.state_dict().items():
        if key == 'weight':
            tensor = heads.inputs(tensor)
        state[f'proj.{key}'] = copied(tensor, width)
    return state


def _new_layer(layer: nn.Module) -> State:
    """A layer that passes on its input."""
    linear: List[str] = [
        name for name, module in layer.ffn.named_modules()
        if isinstance(module, nn.Linear)
    ]
    ends = {'attn.proj': layer.attn.proj}
    ends[f'ffn.{linear[-1]}'] = layer.ffn.get_submodule(linear[-1])
    return {
        f'{name}.{key}': torch.zeros_like(tensor)
        for name, module in ends.items()
        for key, tensor in module.state_dict().items()
    }
