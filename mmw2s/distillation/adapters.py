# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Teachers that were tuned with LoRA; their files have only the adapters."""
from collections import OrderedDict
from typing import List, Mapping, Sequence, Tuple

from torch import Tensor, nn

from mmw2s.utils.checkpoint import load_weights, unwrapped_name
from mmw2s.utils.kinds import is_kind

__all__ = ['with_base_weights']


def with_base_weights(model: nn.Module, weights: Mapping[str, Tensor],
                      inits: Sequence[Tuple[str, dict]],
                      trust: bool) -> Mapping[str, Tensor]:
    """Add the weights that are missing in checkpoints of a ``LoRAModel``.

    mmpretrain's ``LoRAModel`` saves its adapters only. The other weights are
    frozen and were loaded by an ``init_cfg`` of type ``Pretrained``, so they
    are loaded from there. Two kinds of tensors cannot be known: frozen layers
    with random values, and running statistics, which change even in frozen
    layers.

    Args:
        model (nn.Module): The teacher. Its ``state_dict`` will no longer hide
            the frozen weights.
        weights (Mapping): The weights of its checkpoint.
        inits (Sequence): Pairs of a module's name and its ``init_cfg``.
        trust (bool): See :func:`load_weights`.

    Returns:
        Mapping: The weights of the checkpoint and the added ones.

    Raises:
        ValueError: If the frozen weights cannot be loaded.
    """
    tuned = [
        f'{name}.' if name else '' for name, module in model.named_modules()
        if is_kind(module, 'LoRAModel')
    ]
    if not tuned:
        return weights
    for prefix in tuned:
        module = model.get_submodule(prefix[:-1])
        # These hooks hide the frozen part, so that nothing would be missing.
        module._state_dict_hooks.clear()
        module._load_state_dict_post_hooks.clear()
    frozen = [
        key for key in model.state_dict() if key.startswith(tuple(tuned))
        and '.lora_' not in key and unwrapped_name(key) not in weights
        and not key.rpartition('.')[2].startswith('running_')
    ]
    added: 'OrderedDict' = OrderedDict()
    done: List[str] = []
    # The outermost first, because MMEngine ignores an init_cfg within a module
    # that has been initialized by one.
    for where, init_cfg in sorted(inits, key=lambda i: i[0].count('.')):
        wanted = [key for key in frozen if key.startswith(f'{where}.')]
        if not wanted or f'{where}.'.startswith(tuple(done)):
            continue
        done.append(f'{where}.')
        found = _initial(where, init_cfg, trust)
        for key in wanted:
            # An adapter has the layer that it wraps as `original_layer`.
            plain = key[len(where) + 1:].replace('.original_layer.', '.')
            if plain in found:
                added[unwrapped_name(key)] = found[plain]
    added.update(weights)
    added._metadata = getattr(weights, '_metadata', OrderedDict())
    return added


def _initial(where: str, init_cfg: dict, trust: bool) -> Mapping[str, Tensor]:
    try:
        weights, _ = load_weights(init_cfg['checkpoint'], trust)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            'the teacher was tuned by LoRA and its checkpoint lacks the '
            f'frozen weights, which the init_cfg of {where or "its model"} '
            f'loads: {error}') from error
    prefix = (init_cfg.get('prefix') or '').rstrip('.')
    prefix = f'{prefix}.' if prefix else ''
    return {
        key[len(prefix):]: value
        for key, value in weights.items() if key.startswith(prefix)
    }
