# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Hints for a user whose checkpoint does not fit the model."""
import re
from typing import Dict, Sequence

from torch import nn

from mmw2s.utils.kinds import is_kind

__all__ = ['hint_of_names', 'hint_of_shapes']

# Pattern of a tensor's name -> what was done to the model, and how to undo it.
_MARKS = (
    (r'\.(weight|bias)_(orig|mask)$',
     'The file is of a model under pruning: call '
     'torch.nn.utils.prune.remove on its modules and save it again'),
    (r'\.parametrizations\.', 'The file is of a parametrized model: call '
     'torch.nn.utils.parametrize.remove_parametrizations and save it again'),
    (r'(^|[._])(lora|adapter)_|\.lora\.',
     'The file is of a model tuned by adapters (LoRA): give the config with '
     'them, or merge them into the weights and save it again'),
    (r'(_packed_params|zero_point|\.scales?|\.qweight|\.qzeros|\.SCB)$',
     'The file is of a quantized model: give the one before quantisation'),
)

# Tensors whose shape differs between the two package families: class of the
# module, pattern of the tensor's name in it, and the hint.
_DIFFERING = (
    ('DinoTransformerDecoder', r'ref_point_head\.layers\.0\.weight',
     'onedl-mmdetection 3.5.1 (1024 values for 256 channels) and MMDetection '
     '3.3.0 (512) have different decoders for DINO'), )


def hint_of_names(model: nn.Module,
                  missing: Sequence[str],
                  unexpected: Sequence[str],
                  path: str = '') -> str:
    """A hint about names of tensors that are missing or unexpected.

    Args:
        model (nn.Module): The teacher.
        missing (Sequence[str]): Names that are in the model only.
        unexpected (Sequence[str]): Names that are in the file only.
        path (str): Path of the file. Defaults to '', not known.
    """
    if missing and re.search(r'-\d{5}-of-\d{5}\.', path):
        return ('The file is one of several shards: load them all, and save '
                'their tensors as one file')
    if missing and not unexpected and any(
            is_kind(module, 'LoRAModel') for module in model.modules()):
        return ('The teacher was tuned by LoRA, and its checkpoint holds the '
                'adapters alone: what the rest was in its training is known '
                'only where an init_cfg of type Pretrained in its config '
                'loads it. Give that init_cfg to the part, or merge the '
                'adapters into the weights and give the config without them')
    names = [*unexpected, *missing]
    for mark, hint in _MARKS:
        if any(re.search(mark, name) for name in names):
            return hint
    copies = [
        who for who in ('teacher', 'student', 'model', 'ema_model') if any(
            name.startswith(f'{who}.') for name in unexpected)
    ]
    if copies:
        return ('The file holds parts named ' + ', '.join(copies) +
                ': save the weights of the one that is meant alone, or give '
                'the config that this checkpoint was trained with')
    return 'Give the config that this checkpoint was trained with'


def hint_of_shapes(model: nn.Module, wrong: Dict[str, tuple]) -> str:
    """A hint about tensors with other shapes.

    Args:
        model (nn.Module): The teacher.
        wrong (dict): Name -> shape in the file, shape in the model.
    """
    for owner, tensor, hint in _DIFFERING:
        parts = [n for n, m in model.named_modules() if is_kind(m, owner)]
        if wrong and all(
                any(
                    re.fullmatch(tensor, key[len(part) + 1:])
                    for part in parts if key.startswith(f'{part}.'))
                for key in wrong):
            return (f'Config and checkpoint do belong together: {hint}. Use '
                    'the packages that it was trained with, or a checkpoint '
                    'trained with those installed here')
    return ('Channels of a prediction layer are anchors x classes: check '
            'num_classes, and that config and checkpoint belong together')
