# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Loading all of a checkpoint's weights into a model, or saying what is wrong.

``load_state_dict(strict=True)`` is too strict for some whole families (their
code drops or adds names of its own) and too lax for others (it casts any
dtype, and NaN is a number to it).
"""
import re
from collections import OrderedDict
from typing import Dict, List, Mapping, Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmw2s.utils.checkpoint import unwrapped_name
from mmw2s.utils.text import listed
from .loading_hints import hint_of_names, hint_of_shapes

__all__ = ['load_strictly']

# Buffers that the constructor computes from sizes alone. At another image
# size they are others, and the model's own are right.
_FOLLOWS_FROM_SIZE = re.compile(
    r'(^|\.)(relative_position_index|relative_coords_table|rel_pos_index|'
    r'attention_bias_idxs|freqs_cos|freqs_sin|attn_mask|position_ids)$')
# What belongs to no model: MMEngine's preprocessor (normalisation of the
# input), counters of BatchNorm, of averaged models, and of thop.
_NO_WEIGHT = re.compile(r'^data_preprocessor\.|(^|\.)num_batches_tracked$|'
                        r'^(steps|n_averaged)$|(^|\.)total_(ops|params)$')
# No trained weight is as large; float16 ends at 65504.
_LARGEST = 1e12


def load_strictly(model: nn.Module, weights: Mapping[str, Tensor], path: str,
                  name: str) -> None:
    """Load every tensor of a model from a checkpoint.

    What counts is that each of the model's tensors is in the file, and that
    the file has nothing else of importance. Allowed are: an outer prefix that
    all of the model's names have, such as ``model.``; buffers that follow from
    the image size, of another size; names whose tensors equal loaded ones
    (aliases); counters, what an older ``EMAHook`` kept beside the averaged
    weights, and the normalisation of the input.

    Args:
        model (nn.Module): Is loaded into.
        weights (Mapping): Name -> tensor, as :func:`load_weights` gives them.
        path (str): Of the checkpoint, for messages.
        name (str): Of the teacher, for messages.

    Raises:
        ValueError: If tensors are missing, unexpected, of another shape or
            kind, or have values that no trained model has.
    """
    own = model.state_dict()
    weights = _as_named_by(own, weights, path)
    for key in own:
        if key in weights:
            _check(key, weights[key], own[key], path)
    for key in [k for k in weights if _FOLLOWS_FROM_SIZE.search(k)]:
        if key in own and weights[key].shape != own[key].shape:
            print_log(
                f'{key} follows from the image size and is computed anew: '
                f'{tuple(weights[key].shape)} in {path}, '
                f'{tuple(own[key].shape)} in the teacher {name}',
                logger='current')
            # Not taken out: a missing name would be an error.
            weights[key] = own[key].clone()
    try:
        result = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        wrong = _wrong_shapes(str(error), own, weights)
        told = [
            f'{key} is {file} in the file and {mine} in the model'
            for key, (file, mine) in wrong.items()
        ] or [str(error)]
        raise ValueError(
            f'the checkpoint {path} does not fit the teacher {name}: '
            f'{listed(told, 3)}. {hint_of_shapes(model, wrong)}') from None
    now = model.state_dict()
    missing = [
        key for key in result.missing_keys
        if not _NO_WEIGHT.search(key) and not _is_tied(key, now, weights)
        # Some models drop names from the file before torch looks for them.
        and not (key in weights and _equal(now.get(key), weights[key]))
    ]
    # What the EMAHook of mmcv 1.x leaves: the weights before they were swapped
    # for the averaged ones, which have the model's own names.
    swapped = {f'ema_{key.replace(".", "_")}' for key in own}
    unexpected = [
        key for key in result.unexpected_keys if not _NO_WEIGHT.search(key)
        and not _FOLLOWS_FROM_SIZE.search(key) and key not in swapped
    ]
    unexpected = _without_aliases(unexpected, now, weights)
    if missing or unexpected:
        verdict = 'is of another architecture than' if unexpected else \
            'is incomplete for'
        raise ValueError(
            f'the checkpoint {path} {verdict} the teacher {name}: ' +
            '; '.join(f'{what} {listed(keys, 3)}' for what, keys in (
                ('the file lacks', missing),
                ('the model has no', unexpected)) if keys) + '. ' +
            hint_of_names(model, missing, unexpected, path))


def _as_named_by(own: Mapping[str, Tensor], weights: Mapping[str, Tensor],
                 path: str) -> 'OrderedDict':
    """The weights under the model's own names for them."""
    # A model may itself begin with a wrapper's name (mmpretrain's LoRAModel).
    names = {unwrapped_name(key): key for key in own}
    prefix = _outer_prefix(list(names), weights, path)
    named = OrderedDict(
        (names.get(key[len(prefix):], key[len(prefix):]), value)
        for key, value in weights.items() if key.startswith(prefix))
    named._metadata = OrderedDict(
        (key[len(prefix):], value)
        for key, value in getattr(weights, '_metadata', {}).items()
        if f'{key}.'.startswith(prefix))
    return named


def _outer_prefix(names: Sequence[str], weights: Mapping[str, Tensor],
                  path: str) -> str:
    """The prefix under which the file has all of these names.

    Raises:
        ValueError: If there are several with different weights.
    """
    needed = [
        name for name in names
        if not _NO_WEIGHT.search(name) and not _FOLLOWS_FROM_SIZE.search(name)
    ]
    if not needed or all(name in weights for name in needed):
        return ''
    first = max(needed, key=len)
    fitting = [
        prefix for prefix in (key[:-len(first)] for key in weights
                              if key.endswith(f'.{first}'))
        if all(prefix + name in weights for name in needed)
    ]
    for other in fitting[1:]:
        if not all(
                _equal(weights[other + name], weights[fitting[0] + name])
                for name in needed):
            raise ValueError(
                f'{path} holds several models that fit the teacher, under '
                f'{", ".join(fitting)}: which is meant cannot be known. Save '
                'the weights of one of them alone')
    if not fitting:
        return ''
    print_log(
        f'The weights of the teacher are those under {fitting[0]} in {path}',
        logger='current')
    return fitting[0]


def _check(key: str, value: Tensor, own: Tensor, path: str) -> None:
    """Refuse a tensor of a kind or with values that no trained model has."""
    if value.is_quantized or value.layout is not torch.strided or \
            value.device.type == 'meta':
        what = 'quantised' if value.is_quantized else \
            'empty (meta)' if value.device.type == 'meta' else value.layout
        raise ValueError(f'{key} in {path} is {what}: save the weights as '
                         'plain floating point numbers')
    if _NO_WEIGHT.search(key):
        return
    if _kind(value) != _kind(own):
        if _kind(own) != 'floating point' and _equal(value.to(own.dtype), own):
            return  # an index that somebody's cast has gone over
        raise ValueError(
            f'{key} is {value.dtype} in {path}, but {own.dtype} in the model: '
            'weights that were quantised or cast are not taken for the '
            'trained ones. Save them as floating point numbers')
    if _kind(own) == 'integer' or not value.numel() or _equal(value, own):
        return  # masks of -inf are the model's own
    # In float64: aminmax of some half types is not to be had everywhere.
    low, high = (torch.view_as_real(value)
                 if value.is_complex() else value).double().aminmax()
    if not (-_LARGEST <= low and high <= _LARGEST):  # NaN is neither
        raise ValueError(
            f'{key} in {path} has values from {low:g} to {high:g}, which no '
            'trained model has: the file is damaged, or the training '
            'diverged. Take another checkpoint')
    if key.endswith('running_var') and low < 0:
        raise ValueError(f'{key} in {path} is a variance, but has values down '
                         f'to {low:g}: the file is damaged')


def _kind(value: Tensor) -> str:
    if value.is_complex():
        return 'complex'
    # Numbers of 8 bits need a scale that is elsewhere.
    if value.is_floating_point():
        return 'floating point' if value.dtype.itemsize > 1 else '8 bits'
    return 'bool' if value.dtype is torch.bool else 'integer'


def _equal(first, second) -> bool:
    """Equal in shape and in every value, after a cast of the first."""
    return first is not None and second is not None and \
        first.shape == second.shape and \
        torch.equal(first, second.to(first.dtype))


def _is_tied(key: str, now: Mapping[str, Tensor],
             weights: Mapping[str, Tensor]) -> bool:
    """Whether it is one tensor with another that the file has."""
    tensor = now.get(key)
    return tensor is not None and tensor.numel() > 0 and any(
        other.data_ptr() == tensor.data_ptr() and other.shape == tensor.shape
        for name, other in now.items() if name != key and name in weights)


def _without_aliases(names: Sequence[str], now: Mapping[str, Tensor],
                     weights: Mapping[str, Tensor]) -> List[str]:
    """Leave out modules whose tensors all equal those of a loaded module.

    Some models make a second name for a part while they train. All tensors of
    the part must be equal: zeros alone are equal to many.
    """
    parts: Dict[str, Dict[str, Tensor]] = {}
    for name in names:
        part, _, leaf = name.rpartition('.')
        parts.setdefault(part, {})[leaf] = weights[name]
    loaded: Dict[str, Dict[str, Tensor]] = {}
    for name, value in now.items():
        part, _, leaf = name.rpartition('.')
        loaded.setdefault(part, {})[leaf] = value
    return [
        name for name in names if not any(
            all(
                _equal(other.get(leaf), value)
                for leaf, value in parts[name.rpartition('.')[0]].items())
            for other in loaded.values())
    ]


def _wrong_shapes(error: str, own: Mapping[str, Tensor],
                  weights: Mapping[str, Tensor]) -> Dict[str, tuple]:
    """Name -> shape in the file, shape in the model, of those that differ."""
    # What torch names is what is left after the model resized what it can.
    named = re.findall(r'size mismatch for (\S+):', error)
    return {
        key: (tuple(weights[key].shape), tuple(own[key].shape))
        for key in own
        if key in weights and weights[key].shape != own[key].shape and (
            not named or key in named)
    }
