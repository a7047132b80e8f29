# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How the ``UNet2DModel`` of diffusers grows: wider, and more layers a block.

- Width: by one whole factor in all levels. Copies of a channel lie side by
  side in the features and in the skip connections, so also where the two are
  concatenated.
- More layers: on the way down new blocks come last in a level, so what they
  hand to the way up is what the teacher's last block has handed. On the way up
  these skip connections are read after that of the teacher's last block: new
  blocks stand behind the first one.
- New attention, where the teacher has none, begins with an output of 0.
"""
from contextlib import contextmanager
from typing import Iterator, List, Optional

import torch
from torch import Tensor, nn

from .heads import Heads
from .rules import CannotGrow, State, growth_rule
from .walk import grow_children, grow_module
from .widths import copied, factor, split

__all__ = ['grow_down_block', 'grow_mid_block', 'grow_unet2d', 'grow_up_block']

# Fields in which student and teacher may differ.
_FREE = {
    'sample_size', 'block_out_channels', 'layers_per_block',
    'down_block_types', 'up_block_types', 'attention_head_dim', 'dropout',
    'add_attention', 'time_embedding_dim'
}


@growth_rule('UNet2DModel')
def grow_unet2d(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a UNet.

    Args:
        student (nn.Module): Its ``block_out_channels`` are a whole multiple
            of the teacher's, and its levels have as many layers or more.
        teacher (nn.Module): The smaller one.

    Raises:
        CannotGrow: If they differ in more.
    """
    if type(student).__name__ != type(teacher).__name__:
        raise CannotGrow(f'it is a {type(student).__name__}, the teacher\'s '
                         f'a {type(teacher).__name__}')
    width = _check(student.config, teacher.config)
    special = {'time_proj', 'time_embedding', 'class_embedding'}
    names = {name for name, _ in student.named_children()} - special
    # Sorted, so that all ranks draw the same numbers.
    state = grow_children(student, teacher, sorted(names), widen=True)
    for name, tensor in _time_proj(teacher, width).items():
        state[f'time_proj.{name}'] = tensor
    with _inside('time_embedding'):
        state.update(_embedding('time_embedding', student, teacher))
    if teacher.class_embedding is not None:
        with _inside('class_embedding'):
            state.update(_class_embedding(student, teacher))
    return state


@growth_rule('DownBlock2D', 'AttnDownBlock2D')
def grow_down_block(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a level of the way down; new blocks are its last ones."""
    new = _count_new(student, teacher)
    return _grow_level(student, teacher,
                       [*range(len(teacher.resnets)), *[None] * new])


@growth_rule('UpBlock2D', 'AttnUpBlock2D')
def grow_up_block(student: nn.Module, teacher: nn.Module) -> State:
    """Grow a level of the way up; new blocks stand behind the first one."""
    new = _count_new(student, teacher)
    return _grow_level(student, teacher,
                       [0, *[None] * new, *range(1, len(teacher.resnets))])


@growth_rule('UNetMidBlock2D')
def grow_mid_block(student: nn.Module, teacher: nn.Module) -> State:
    """Grow the middle, which may get attention that it did not have."""
    if _count_new(student, teacher):
        raise CannotGrow(f'it has {len(student.resnets)} blocks, the '
                         f'teacher\'s {len(teacher.resnets)}')
    return _grow_level(student, teacher, [*range(len(teacher.resnets))])


def _check(ours: dict, theirs: dict) -> int:
    """The factor of the widths; refuse other differences of two configs."""
    for key in sorted({*ours, *theirs} - _FREE):
        if key[0] != '_' and ours.get(key) != theirs.get(key):
            raise CannotGrow(f'its {key} is {ours.get(key)}, the teacher\'s '
                             f'{theirs.get(key)}: make it the same')
    wide, narrow = (tuple(c['block_out_channels']) for c in (ours, theirs))
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
                         f'{narrow}: make all the same multiple, or the '
                         'norms behind skip connections have other groups')
    return factors.pop()


def _count_new(student: nn.Module, teacher: nn.Module) -> int:
    new = len(student.resnets) - len(teacher.resnets)
    if new < 0:
        raise CannotGrow(f'the student has {len(student.resnets)} blocks, the '
                         f'teacher {len(teacher.resnets)}: it needs as many '
                         'or more (layers_per_block)')
    return new


def _grow_level(student: nn.Module, teacher: nn.Module,
                known: List[Optional[int]]) -> State:
    """Grow the blocks of a level, their attention and the sampler.

    Args:
        student (nn.Module): A level.
        teacher (nn.Module): The same level.
        known (list[int, optional]): The teacher's block for each of the
            student's; None for a new one.
    """
    samplers = [
        name for name in ('downsamplers', 'upsamplers')
        if getattr(student, name, None) or getattr(teacher, name, None)
    ]
    state = grow_children(student, teacher, samplers, widen=True)
    for i, j in enumerate(known):
        with _inside(f'resnets.{i}'):
            resnet = student.resnets[i]
            grown = _new_resnet(resnet) if j is None else grow_module(
                resnet, teacher.resnets[j], widen=True)
        _put(state, f'resnets.{i}', grown)
        with _inside(f'attentions.{i}'):
            grown = _attention(
                _get(student, i), None if j is None else _get(teacher, j))
        _put(state, f'attentions.{i}', grown)
    return state


def _new_resnet(resnet: nn.Module) -> State:
    """A block that passes on the first of its inputs."""
    state = {
        f'conv2.{name}': torch.zeros_like(tensor)
        for name, tensor in resnet.conv2.state_dict().items()
    }
    if resnet.conv_shortcut is not None:
        # It reads features and skip connection, and gives the features.
        for name, tensor in resnet.conv_shortcut.state_dict().items():
            state[f'conv_shortcut.{name}'] = torch.zeros_like(tensor)
        weight = state['conv_shortcut.weight']
        weight[:, :len(weight), 0, 0].fill_diagonal_(1)
    return state


def _get(level: nn.Module, i: int) -> Optional[nn.Module]:
    """The attention behind a block. None if there is none."""
    attentions = getattr(level, 'attentions', ())
    return attentions[i] if i < len(attentions) else None


def _attention(student: Optional[nn.Module],
               teacher: Optional[nn.Module]) -> State:
    if student is None:
        if teacher is not None:
            raise CannotGrow('only the teacher has attention here')
        return {}
    if teacher is None:
        if student.rescale_output_factor != 1:
            raise CannotGrow('new attention needs mid_block_scale_factor=1')
        return {
            f'to_out.0.{name}': torch.zeros_like(tensor)
            for name, tensor in student.to_out[0].state_dict().items()
        }
    heads = Heads.of(student.heads, teacher.heads, student.inner_dim,
                     teacher.inner_dim)
    width = factor(student.query_dim, teacher.query_dim, 'channels')
    names = ['group_norm'] if student.group_norm or teacher.group_norm else []
    state = grow_children(student, teacher, names, widen=True)
    for name in ('to_q', 'to_k', 'to_v'):
        for key, tensor in getattr(teacher, name).state_dict().items():
            if key == 'weight':
                tensor = split(tensor, width)
            scale = heads.query_scale if name == 'to_q' else 1
            state[f'{name}.{key}'] = heads.outputs(tensor) * scale
    out = teacher.to_out[0].state_dict()
    state['to_out.0.weight'] = copied(heads.inputs(out['weight']), width)
    state['to_out.0.bias'] = copied(out['bias'], width)
    return state


# -- the time and the class ----------------------------------------------


def _time_proj(teacher: nn.Module, width: int) -> State:
    """Timesteps as vectors: learned ones, or random frequencies."""
    learned = teacher.config.time_embedding_type == 'learned'
    return {
        name: copied(tensor, width, 1 if learned else 0)
        for name, tensor in teacher.time_proj.state_dict().items()
    }


def _embedding(name: str, student: nn.Module, teacher: nn.Module) -> State:
    """The layers that read these vectors."""
    ours, theirs = (getattr(model, name) for model in (student, teacher))
    state = grow_children(ours, theirs, ('linear_1', 'linear_2'), widen=True)
    if teacher.config.time_embedding_type == 'positional':
        given = theirs.linear_1.weight.detach()
        rows, wide = ours.linear_1.weight.shape
        columns = _columns(wide, given.shape[1], teacher.config.freq_shift)
        # Frequencies that the teacher does not have begin without effect.
        weight = given.new_zeros(rows, wide)
        weight[:, columns] = copied(given, rows // len(given))
        state['linear_1.weight'] = weight
    return {f'{name}.{key}': tensor for key, tensor in state.items()}


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
    ours, theirs = student.class_embedding, teacher.class_embedding
    if hasattr(theirs, 'linear_1'):
        return _embedding('class_embedding', student, teacher)
    width = factor(student.time_embedding.linear_2.out_features,
                   teacher.time_embedding.linear_2.out_features,
                   'channels (time_embedding_dim)')
    if isinstance(theirs, nn.Embedding):
        return {'class_embedding.weight': copied(theirs.weight.detach(),
                                                 width, 1)}
    if width > 1:
        raise CannotGrow(f'a {type(ours).__name__} gives what it is given, '
                         'but a wider model needs wider embeddings')
    return {}


# -- helpers -------------------------------------------------------------


@contextmanager
def _inside(name: str) -> Iterator[None]:
    """Errors name the module in which they are."""
    try:
        yield
    except CannotGrow as error:
        raise error.inside(name) from error


def _put(state: State, name: str, grown: State) -> None:
    state.update({f'{name}.{key}': value for key, value in grown.items()})
