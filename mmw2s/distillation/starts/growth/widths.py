# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A layer of more channels that computes what the narrow one computes.

Each channel becomes ``k`` copies beside each other: ``c0 c0 c1 c1`` for
``k = 2``. In that order the groups of a ``GroupNorm`` and of a grouped
convolution keep their channels. The next layer reads the copies with weights
that sum to the narrow one's: ``w (1 / k + e_j)``, where the ``e_j`` sum to 0
(`Net2Net <https://arxiv.org/abs/1511.05641>`_). Without the ``e_j`` the copies
would get the same gradients and stay equal for ever. Each copy of a channel
has ``e_j`` of its own for the copies that it reads, so that the two compute
different things as soon as those differ. Where a layer reads no copies, as the
first one, its own copies begin equal, and differ by their gradients alone.
"""
from typing import Optional

import torch
from torch import Tensor, nn

from mmw2s.utils.kinds import is_kind
from .rules import CannotGrow, State, refuse_other_class

__all__ = ['NOISE', 'copied', 'factor', 'grow_layer', 'split']

#: How much the parts of a weight differ. At 1 the least that one can be is 0.
NOISE = 1.
# What has to be the same in two layers, where they have it.
_SETTINGS = ('kernel_size', 'stride', 'padding', 'output_padding', 'dilation',
             'padding_mode', 'deform_groups', 'num_groups', 'eps')


def factor(wide: int, narrow: int, what: str) -> int:
    """How often ``narrow`` is in ``wide``.

    Raises:
        CannotGrow: If that is no whole number.
    """
    if narrow == 0 or wide % narrow:
        raise CannotGrow(
            f'the student has {wide} {what}, the teacher {narrow}: make it '
            'the same number, or a whole multiple')
    return wide // narrow


def copied(tensor: Tensor, k: int, dim: int = 0) -> Tensor:
    """Each entry along ``dim`` ``k`` times: ``c0 c0 c1 c1``."""
    return tensor.repeat_interleave(k, dim)


def split(weight: Tensor, k: int, dim: int = 1) -> Tensor:
    """Weights of ``k`` copies of each input, which sum to the given ones.

    Args:
        weight (Tensor): Of the narrow layer.
        k (int): Copies of each input.
        dim (int): That of the inputs. Defaults to 1.

    Returns:
        Tensor: ``k`` times as long along ``dim``, of the same dtype.
    """
    if k == 1:
        return weight.clone()
    dim %= weight.dim()
    shape = (*weight.shape[:dim + 1], k, *weight.shape[dim + 1:])
    # On the CPU, so that each rank draws the same on whatever device.
    noise = torch.rand(shape, dtype=torch.float64) * 2 - 1
    noise -= noise.mean(dim + 1, keepdim=True)
    lowest = 2 * (k - 1) / k  # one draw of -1 among draws of 1
    parts = (1 + NOISE * noise / lowest) / k
    wide = weight.double().unsqueeze(dim + 1) * parts.to(weight.device)
    return wide.flatten(dim, dim + 1).to(weight.dtype)


def grow_layer(student: nn.Module, teacher: nn.Module) -> Optional[State]:
    """Grow a convolution, linear layer or norm by whole factors.

    Its inputs are taken for copies of the teacher's (:func:`copied`) wherever
    it has more of them, and its outputs become such copies.

    Args:
        student (nn.Module): The wide layer, without children.
        teacher (nn.Module): The narrow one.

    Returns:
        dict[str, Tensor], optional: Its tensors. None for other layers.

    Raises:
        CannotGrow: If the two differ in more than their width.
    """
    refuse_other_class(student, teacher)
    for name in _SETTINGS:
        own, given = (getattr(m, name, None) for m in (student, teacher))
        if own != given:
            raise CannotGrow(f'its {name} is {own}, the teacher\'s {given}')
    if is_kind(student, '_ConvTransposeNd'):
        return _grow_transposed(student, teacher)
    # Those of mmcv that are moved by offsets are no convolutions of torch.
    if is_kind(student, '_ConvNd', 'Linear', 'DeformConv2d',
               'ModulatedDeformConv2d'):
        return _grow_weighted(student, teacher)
    if is_kind(student, '_NormBase', 'GroupNorm', 'LayerNorm'):
        return _grow_norm(student, teacher)
    return None


def _grow_weighted(student: nn.Module, teacher: nn.Module) -> State:
    groups = [getattr(module, 'groups', 1) for module in (student, teacher)]
    is_depthwise = all(
        module.weight.shape[1] == 1 and module.in_channels == count
        for module, count in zip((student, teacher), groups) if count > 1)
    if groups[0] != groups[1] and not (is_depthwise and min(groups) > 1):
        raise CannotGrow(f'it has {groups[0]} groups, the teacher\'s '
                         f'{groups[1]}: make it the same number')
    wide, narrow = student.weight.shape, teacher.weight.shape
    outs = factor(wide[0], narrow[0], 'outputs')
    ins = factor(wide[1], narrow[1],
                 'inputs' if groups[0] == 1 else 'inputs a group')
    weight = split(copied(teacher.weight, outs), ins)
    return {'weight': weight, **_grow_bias(student, teacher, outs)}


def _grow_transposed(student: nn.Module, teacher: nn.Module) -> State:
    if student.groups != 1 or teacher.groups != 1:
        raise CannotGrow('it is a transposed convolution in groups, for which '
                         'there is no rule')
    # Its weight has the inputs first.
    wide, narrow = student.weight.shape, teacher.weight.shape
    outs = factor(wide[1], narrow[1], 'outputs')
    ins = factor(wide[0], narrow[0], 'inputs')
    weight = split(copied(teacher.weight, outs, 1), ins, 0)
    return {'weight': weight, **_grow_bias(student, teacher, outs)}


def _grow_bias(student: nn.Module, teacher: nn.Module, k: int) -> State:
    own, given = (getattr(m, 'bias', None) for m in (student, teacher))
    if (own is None) != (given is None):
        raise CannotGrow('only one of the two has a bias')
    return {} if given is None else {'bias': copied(given, k)}


def _grow_norm(student: nn.Module, teacher: nn.Module) -> State:
    own, given = student.state_dict(), teacher.state_dict()
    if set(own) != set(given):
        raise CannotGrow('its norm has other tensors than the teacher\'s')
    state = {}
    for name, tensor in given.items():
        if own[name].dim() != tensor.dim() or tensor.dim() > 1:
            raise CannotGrow(f'its {name} has other dimensions')
        k = factor(len(own[name]), len(tensor), 'channels') \
            if tensor.dim() else 1
        state[name] = copied(tensor, k) if tensor.dim() else tensor.clone()
    return state
