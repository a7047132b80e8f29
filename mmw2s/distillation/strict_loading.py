# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Load all weights of a checkpoint into a model, or say why they do not fit.

``load_state_dict(strict=True)`` is too strict for some families of models,
whose code drops or adds names. It is also too lax: it casts any dtype and
accepts NaN.
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

# Buffers that a constructor computes from the image size. If the size differs
# from the checkpoint's, the model's own are right.
_FOLLOWS_FROM_SIZE = re.compile(
    r'(^|\.)(relative_position_index|relative_coords_table|rel_pos_index|'
    r'attention_bias_idxs|freqs_cos|freqs_sin|attn_mask|position_ids)$')
# Tensors that are no weights: MMEngine's preprocessor (normalization of the
# input), and counters of BatchNorm, of averaged models and of thop.
_NO_WEIGHT = re.compile(r'^data_preprocessor\.|(^|\.)num_batches_tracked$|'
                        r'^(steps|n_averaged)$|(^|\.)total_(ops|params)$')
# No trained weight is as large; the largest float16 is 65504.
_LARGEST = 1e12


def load_strictly(model: nn.Module, weights: Mapping[str, Tensor], path: str,
                  name: str) -> None:
    """Load every tensor of a model from a checkpoint.

    Each tensor of the model must be in the file, and the file may have no
    other weights. These exceptions are allowed:

    - a prefix of all names, such as ``model.``;
    - buffers that depend on the image size, with another size;
    - names whose tensors equal loaded ones (aliases);
    - counters, the normalization of the input, and weights that an older
      ``EMAHook`` kept beside the averaged ones.

    Args:
        model (nn.Module): The model; the weights are loaded into it.
        weights (Mapping): Name -> tensor, from :func:`load_weights`.
        path (str): Path of the checkpoint, for messages.
        name (str): Name of the teacher, for messages.

    Raises:
        ValueError: If tensors are missing or unexpected, or have another shape
            or kind, or values that no trained model has.
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
            # Replaced, not removed: a missing name would be an error.
            weights[key] = own[key].clone()
    try:
        result = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        wrong = _wrong_shapes(str(error), own, weights)
        told = [
            f'{key} is {in_file} in the file and {in_model} in the model'
            for key, (in_file, in_model) in wrong.items()
        ] or [str(error)]
        raise ValueError(
            f'the checkpoint {path} does not fit the teacher {name}: '
            f'{listed(told, 3)}. {hint_of_shapes(model, wrong)}') from None
    now = model.state_dict()
    missing = [
        key for key in result.missing_keys
        if not _NO_WEIGHT.search(key) and not _is_tied(key, now, weights)
        # Some models load tensors themselves and drop them from the dict, so
        # that torch does not find them.
        and not (key in weights and _equal(now.get(key), weights[key]))
    ]
    # The EMAHook of mmcv 1.x saves the averaged weights under the model's
    # names, and the others under these names.
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
    """The weights under the names that the model has for them."""
    # The model's names may have a wrapper's prefix (mmpretrain's LoRAModel).
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
    """The prefix with which the file has all of these names, '' if none.

    Raises:
        ValueError: If there are several prefixes with different weights.
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
    """Refuse a tensor of a wrong kind, or with values of no trained model."""
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
            return  # an index that was cast together with the weights
        raise ValueError(
            f'{key} is {value.dtype} in {path}, but {own.dtype} in the model: '
            'weights that were quantized or cast are not taken for the '
            'trained ones. Save them as floating point numbers')
    if _kind(own) == 'integer' or not value.numel() or _equal(value, own):
        return  # an equal tensor may have -inf, in a mask
    # In float64, because aminmax does not support all half types.
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
    # Floats of 8 bits need a scale, which is stored elsewhere.
    if value.is_floating_point():
        return 'floating point' if value.dtype.itemsize > 1 else '8 bits'
    return 'bool' if value.dtype is torch.bool else 'integer'


def _equal(first, second) -> bool:
    """Whether shapes and values are equal, after a cast of the second."""
    return first is not None and second is not None and \
        first.shape == second.shape and \
        torch.equal(first, second.to(first.dtype))


def _is_tied(key: str, now: Mapping[str, Tensor],
             weights: Mapping[str, Tensor]) -> bool:
    """Whether a tensor shares its memory with another one in the file."""
    tensor = now.get(key)
    return tensor is not None and tensor.numel() > 0 and any(
        other.data_ptr() == tensor.data_ptr() and other.shape == tensor.shape
        for name, other in now.items() if name != key and name in weights)


def _without_aliases(names: Sequence[str], now: Mapping[str, Tensor],
                     weights: Mapping[str, Tensor]) -> List[str]:
    """Leave out modules whose tensors all equal those of a loaded module.

    Some models have a second name for a module in training. All tensors of the
    module must be equal: one tensor, such as a bias of zeros, may equal many.
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
    """Name -> shape in the file, shape in the model, where they differ."""
    # A model may resize some tensors itself. Torch names only the others.
    named = re.findall(r'size mismatch for (\S+):', error)
    return {
        key: (tuple(weights[key].shape), tuple(own[key].shape))
        for key in own
        if key in weights and weights[key].shape != own[key].shape and (
            not named or key in named)
    }
