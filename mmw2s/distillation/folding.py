# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""BatchNorm of a frozen model, folded into the convolutions before it."""
from collections import Counter, defaultdict
from typing import Any, Dict, List, NamedTuple, Tuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._pytree import tree_flatten

from .starts.same_outputs import full_precision, is_near, outputs_of
from .teacher import FrozenTeacher

__all__ = ['fold_batch_norms']


def fold_batch_norms(teacher: FrozenTeacher) -> int:
    """Fold BatchNorm into the convolutions of a teacher, where it is exact.

    In eval mode BatchNorm scales and shifts each channel, which the
    convolution before it can do as well. The norm is replaced by an
    ``nn.Identity``, so all other modules keep their names.

    Which norm follows which convolution is seen in a forward of two random
    images. It is not taken from the order of the modules: some models call
    the norm first, or share a convolution among several norms. A fold is kept
    if the convolution then gives what the norm gave; and all of them, if the
    outputs of the model and of each watched module (one with a hook) are what
    they were. Watched convolutions and norms are left alone.

    The weights are others afterwards. So all that reads them, such as a start
    or a fingerprint, comes first.

    Args:
        teacher (FrozenTeacher): The teacher, on its device.

    Returns:
        int: Number of norms that were folded. The log says it too.
    """
    model = teacher.model
    norms = sum(isinstance(m, _BatchNorm) for m in model.modules())
    count, reason = 0, 'it has no BatchNorm'
    if norms:
        teacher.fingerprint  # of the weights as they were given
        try:
            count, reason = _fold_all(model)
        except ValueError as error:
            reason = str(error)
    print_log(
        f'Teacher {teacher.name}: ' +
        (f'{count} of {norms} BatchNorm layers are folded into the '
         'convolutions before them' if count else
         f'no BatchNorm is folded into convolutions, because {reason}'),
        logger='current')
    return count


class _Pair(NamedTuple):
    """A convolution and the norm after it, with what they made of a batch."""
    conv: _ConvNd
    norm: _BatchNorm
    inputs: Tensor
    output: Tensor


def _fold_all(model: nn.Module) -> Tuple[int, str]:
    """How many norms were folded, and why none was."""
    before, pairs = _look(model)
    old = [(pair.conv.weight, pair.conv.bias) for pair in pairs]
    with full_precision():
        folded = [pair for pair in pairs if _fold(pair)]
    if not folded:
        return 0, 'none follows a convolution alone'
    identities = {pair.norm: nn.Identity() for pair in folded}
    _replace(model, identities)
    same = False
    try:
        after, _ = _look(model)
        same = len(after) == len(before) and all(map(is_near, after, before))
    finally:  # the forward may fail, if it reads a norm's attributes
        if not same:
            _replace(model, {new: norm for norm, new in identities.items()})
            for pair, weights in zip(pairs, old):
                pair.conv.weight, pair.conv.bias = weights
    return (len(folded), '') if same else (0, 'its outputs would change')


def _look(model: nn.Module) -> Tuple[List[Tensor], List[_Pair]]:
    """A forward: what is read of the model, and the pairs that it has."""
    read: List[Tensor] = []
    made: List[Tuple[Tensor, _ConvNd, Tensor]] = []
    calls: Dict[_ConvNd, int] = Counter()
    before: Dict[_BatchNorm, list] = defaultdict(list)
    first: Dict[_BatchNorm, _Pair] = {}

    def note_read(module: nn.Module, args: tuple, output: Any) -> None:
        read.extend(x.clone() for x in tree_flatten(output)[0]
                    if isinstance(x, Tensor))

    def note_conv(conv: _ConvNd, args: tuple, output: Tensor) -> None:
        calls[conv] += 1
        # A later layer may change the input in place.
        made.append((output, conv, args[0].clone()))

    def note_norm(norm: _BatchNorm, args: tuple, output: Tensor) -> None:
        conv, inputs = next(
            ((c, x) for y, c, x in made if y is args[0]), (None, None))
        before[norm].append(conv)
        if conv is not None and norm not in first:
            first[norm] = _Pair(conv, norm, inputs, output.clone())

    handles = []
    for module in list(model.modules()):
        if module._forward_hooks or module._forward_pre_hooks:
            note = note_read
        elif isinstance(module, _BatchNorm) and \
                module.running_mean is not None:
            note = note_norm
        elif isinstance(module, _ConvNd) and \
                not isinstance(module, _ConvTransposeNd) and \
                'weight' in module._parameters:  # not parametrized
            note = note_conv
        else:
            continue
        handles.append(module.register_forward_hook(note))
    try:
        output, = outputs_of(teacher=model)
    finally:
        for handle in handles:
            handle.remove()
    # One convolution, and in all of its calls this norm after it.
    pairs = [
        pair for norm, pair in first.items()
        if before[norm] == [pair.conv] * calls[pair.conv]
    ]
    return output + read, pairs


@torch.no_grad()
def _fold(pair: _Pair) -> bool:
    """Fold a norm if its convolution then gives what it gave."""
    conv, norm = pair.conv, pair.norm
    old = conv.weight, conv.bias
    conv.weight, conv.bias = (
        x.requires_grad_(False) for x in fuse_conv_bn_weights(
            *old, norm.running_mean, norm.running_var, norm.eps, norm.weight,
            norm.bias))
    if is_near(conv(pair.inputs), pair.output):
        return True
    conv.weight, conv.bias = old
    return False


def _replace(model: nn.Module, others: Dict[nn.Module, nn.Module]) -> None:
    """Put other modules in the places of some, everywhere in the model."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in others:
                parent._modules[name] = others[child]
