# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The ``UNet2DModel`` of diffusers, of more channels and layers a block."""
from typing import List, Optional

import torch
from torch import Tensor, nn

from mmw2s.utils.kinds import is_kind
from ..layers import tensors_of
from .heads import Heads
from .parts import part, refuse_other_settings, zeros
from .rules import CannotGrow, State, growth_rule, refuse_other_class
from .walk import grow_children, grow_module
from .widths import copied, factor, split

__all__ = ['grow_unet2d']

# Fields in which student and teacher may differ.
_FREE = {
    'sample_size', 'block_out_channels', 'layers_per_block',
    'down_block_types', 'up_block_types', 'attention_head_dim', 'dropout',
    'add_attention', 'time_embedding_dim'
}
_DOWN = ('DownBlock2D', 'AttnDownBlock2D')
_UP = ('UpBlock2D', 'AttnUpBlock2D')


@growth_rule('UNet2DModel')
def grow_unet2d(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a UNet.

    - Width: by one factor in all levels. Copies of a channel lie beside each
      other, also where skip connections are concatenated, so the groups of
      the norms keep their channels.
    - More layers: on the way down new blocks come last in a level. What they
      hand to the way up is what the teacher's last block gives. There it is
      read right after that block's own: new blocks come after the first one.
    - New attention, where the teacher has none, begins with an output of 0.

    Args:
        student (nn.Module): Its ``block_out_channels`` are a whole multiple
            of the teacher's, and its levels have as many layers or more.
        teacher (nn.Module): The smaller one.

    Raises:
        CannotGrow: If they differ in more.
    """
    refuse_other_class(student, teacher)
    refuse_other_settings(student, teacher, _FREE)
    width = _width(student, teacher)
    parts = ['down_blocks', 'mid_block', 'up_blocks']
    embeddings = ['time_proj', 'time_embedding', 'class_embedding']
    state = grow_children(
        student, teacher, leave=parts + embeddings, widen=True)
    for name in ('down_blocks', 'up_blocks'):
        for i, (own, given) in enumerate(
                zip(getattr(student, name), getattr(teacher, name))):
            state.update(part(f'{name}.{i}', _grow_level, own, given))
    if student.mid_block is not None:
        state.update(
            part('mid_block', _grow_level, student.mid_block,
                 teacher.mid_block))
    state.update(part('time_proj', _time_proj, teacher, width))
    for name in embeddings[1:]:
        if getattr(teacher, name) is not None:
            state.update(part(name, _embedding, name, student, teacher))
    return state


def _width(student: nn.Module, teacher: nn.Module) -> int:
    """The factor of the channels."""
    wide, narrow = (
        tuple(model.config.block_out_channels) for model in (student, teacher))
    if len(wide) != len(narrow):
        raise CannotGrow(f'it has {len(wide)} levels (block_out_channels='
                         f'{wide}), the teacher {len(narrow)}: make it the '
                         'same number')
    factors = {
        factor(w, n, 'channels (block_out_channels)')
        for w, n in zip(wide, narrow)
    }
    if len(factors) > 1:
        raise CannotGrow(f'its block_out_channels are {wide}, the teacher\'s '
                         f'{narrow}: make all the same multiple, or norms '
                         'behind skip connections have other groups')
    return factors.pop()


def _origins(student: nn.Module, teacher: nn.Module) -> List[Optional[int]]:
    """The teacher's block for each of the student's; None for a new one."""
    old, new = len(teacher.resnets), len(student.resnets)
    if new < old:
        raise CannotGrow(f'the student has {new} blocks, the teacher {old}: '
                         'a student grows, it does not shrink')
    if is_kind(student, *_DOWN) and is_kind(teacher, *_DOWN):
        return [*range(old), *[None] * (new - old)]
    if is_kind(student, *_UP) and is_kind(teacher, *_UP):
        return [0, *[None] * (new - old), *range(1, old)]
    if is_kind(student, 'UNetMidBlock2D') and new == old:
        return [*range(old)]
    raise CannotGrow(f'a {type(student).__name__} cannot grow out of a '
                     f'{type(teacher).__name__}, only '
                     f'{", ".join((*_DOWN, *_UP))} and UNetMidBlock2D can')


def _grow_level(student: nn.Module, teacher: nn.Module) -> State:
    """Grow the blocks of a level, their attention, and the sampler."""
    origins = _origins(student, teacher)
    state = grow_children(
        student, teacher, leave=['resnets', 'attentions'], widen=True)
    for i, j in enumerate(origins):
        resnet, name = student.resnets[i], f'resnets.{i}'
        grown = part(name, _new_resnet, resnet) if j is None else \
            part(name, grow_module, resnet, teacher.resnets[j], True)
        state.update(grown)
        own = _attention_of(student, i)
        given = None if j is None else _attention_of(teacher, j)
        state.update(part(f'attentions.{i}', _attention, own, given))
    return state


def _new_resnet(resnet: nn.Module) -> State:
    """A block that passes on its input."""
    state = part('conv2', zeros, resnet.conv2)
    if resnet.conv_shortcut is not None:
        # On the way up it reads features and a skip connection, and gives the
        # features: [I | 0].
        state.update(part('conv_shortcut', zeros, resnet.conv_shortcut))
        weight = state['conv_shortcut.weight']
        weight[:, :len(weight), 0, 0].fill_diagonal_(1)
    return state


def _attention_of(level: nn.Module, i: int) -> Optional[nn.Module]:
    """The attention behind a block. None if there is none."""
    attentions = getattr(level, 'attentions', ())
    return attentions[i] if i < len(attentions) else None


def _attention(student: Optional[nn.Module],
               teacher: Optional[nn.Module]) -> State:
    """Grow an attention, whose copies are of whole heads."""
    if student is None:
        if teacher is not None:
            raise CannotGrow('only the teacher has attention here')
        return {}
    if teacher is None:
        if student.rescale_output_factor != 1:
            raise CannotGrow('new attention needs mid_block_scale_factor=1')
        return part('to_out.0', zeros, student.to_out[0])
    heads = Heads.of(student.heads, teacher.heads, student.inner_dim,
                     teacher.inner_dim)
    width = factor(student.query_dim, teacher.query_dim, 'channels')
    state = grow_children(
        student, teacher, leave=['to_q', 'to_k', 'to_v', 'to_out'], widen=True)
    for name in ('to_q', 'to_k', 'to_v'):
        scale = heads.query_scale if name == 'to_q' else 1
        for key, tensor in tensors_of(getattr(teacher, name)).items():
            tensor = heads.outputs(tensor) * scale
            if key == 'weight':
                tensor = split(tensor, width)
            state[f'{name}.{key}'] = tensor
    state.update(part('to_out.0', heads.projection, teacher.to_out[0], width))
    return state


def _time_proj(teacher: nn.Module, width: int) -> State:
    """Timesteps as vectors: learned ones, or of random frequencies."""
    learned = teacher.config.time_embedding_type == 'learned'
    return {
        name: copied(tensor, width, 1 if learned else 0)
        for name, tensor in tensors_of(teacher.time_proj).items()
    }


def _embedding(name: str, student: nn.Module, teacher: nn.Module) -> State:
    """The layers that read these vectors, or classes."""
    own, given = (getattr(model, name) for model in (student, teacher))
    if not hasattr(given, 'linear_1'):
        return _class_embedding(student, teacher)
    state = grow_children(own, given, widen=True)
    if teacher.config.time_embedding_type == 'positional':
        narrow = given.linear_1.weight.detach()
        rows, wide = own.linear_1.weight.shape
        columns = _columns(wide, narrow.shape[1], teacher.config.freq_shift)
        # Frequencies that the teacher does not have begin without effect.
        weight = narrow.new_zeros(rows, wide)
        weight[:, columns] = copied(narrow, rows // len(narrow))
        state['linear_1.weight'] = weight
    return state


def _columns(wide: int, narrow: int, freq_shift: float) -> Tensor:
    """Where the teacher's sines and cosines are among the student's.

    Frequency i of n is 10000^(-i / n), and so number k i of k n.
    """
    if wide == narrow:
        return torch.arange(narrow)
    if freq_shift != 0 or narrow % 2:
        raise CannotGrow(
            'a wider model has all the frequencies of the teacher only with '
            f'freq_shift=0 and an even block_out_channels[0], but got '
            f'{freq_shift} and {narrow}')
    half = torch.arange(narrow // 2) * (wide // narrow)
    return torch.cat([half, half + wide // 2])


def _class_embedding(student: nn.Module, teacher: nn.Module) -> State:
    width = factor(student.time_embedding.linear_2.out_features,
                   teacher.time_embedding.linear_2.out_features,
                   'channels (time_embedding_dim)')
    tensors = tensors_of(teacher.class_embedding)
    if not tensors and width > 1:
        raise CannotGrow('it gives what it is given, but a wider model needs '
                         'wider embeddings of the classes')
    return {name: copied(tensor, width, 1) for name, tensor in tensors.items()}
