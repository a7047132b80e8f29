# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How large a model is: its parameters, and what a forward takes."""
from typing import List, NamedTuple, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmw2s.distillation.starts.same_outputs import raw_outputs
from mmw2s.utils.kinds import is_kind
from .images import image_size

__all__ = ['ModelSize', 'inputs_for', 'measure']

# Larger images are taken in the first of these sizes in which the models can
# be run: what is compared stays the same, and a CPU is soon done.
_SIZES = 320, 640


class ModelSize(NamedTuple):
    """The size of a model.

    Attributes:
        parameters (int): Number of its parameters.
        multiply_adds (int): Of the convolutions and matrix products of a
            forward of one image; the second stage of a detector with eight
            boxes, however many proposals it would have.
        image (Tuple[int, int]): Height and width of that image.
    """
    parameters: int
    multiply_adds: int
    image: Tuple[int, int]

    def __str__(self) -> str:
        return (f'{self.parameters / 1e6:.2f} M parameters, '
                f'{self.multiply_adds / 1e9:.3g} G multiply-adds at '
                f'{self.image[1]}x{self.image[0]}')


def inputs_for(cfg: Config, largest: int = _SIZES[0]) -> torch.Tensor:
    """A blank image as the config's runs would have it, or a smaller one.

    Args:
        cfg (Config): Tells the size of images.
        largest (int): Width or height at most. Defaults to 320.
    """
    model = cfg.model
    part = model.get('denoiser') or model.get('backbone') or model
    height, width = image_size(cfg)
    ratio = min(1., largest / max(height, width))
    if ratio < 1:  # a multiple of 32, which every backbone can halve
        height, width = (
            max(32,
                round(s * ratio / 32) * 32) for s in (height, width))
    return torch.zeros(1, part.get('in_channels', 3), height, width)


def measure(*models: nn.Module, cfg: Config) -> List[ModelSize]:
    """Count the parameters of models, and the multiply-adds of a forward.

    Args:
        *models (nn.Module): The models. They are frozen, in place.
        cfg (Config): The config of one of them, which tells the size of
            images. All are shown the same.
    """
    for largest in _SIZES:
        inputs = inputs_for(cfg, largest)
        try:
            return [_measure(model, inputs) for model in models]
        except RuntimeError:  # some layers want more places than others
            if max(inputs.shape[-2:]) < largest or largest == _SIZES[-1]:
                raise
    raise AssertionError


@torch.no_grad()
def _measure(model: nn.Module, inputs: torch.Tensor) -> ModelSize:
    height, width = inputs.shape[-2:]
    model.eval()
    # Its counter cannot follow views of parameters that are trained.
    model.requires_grad_(False)
    if is_kind(getattr(model, 'rpn_head', None), 'EmbeddingRPNHead'):
        model.rpn_head.init_weights()  # until then its boxes may be none
    with FlopCounterMode(display=False) as counter:
        raw_outputs(model, inputs, _samples(model, height, width))
    return ModelSize(
        sum(p.numel() for p in model.parameters()),
        counter.get_total_flops() // 2, (height, width))


def _samples(model: nn.Module, height: int,
             width: int) -> Optional[List[BaseDataElement]]:
    """What some models ask for beside the image."""
    if is_kind(model, 'BaseDetector'):
        from mmdet.structures import DetDataSample
        sample = DetDataSample()
        # Heads with their own proposals read it, though they do not use it.
        sample.gt_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    else:
        sample = BaseDataElement()
        sample.gt_label = torch.zeros(1, dtype=torch.long)
    shape = (height, width)
    sample.set_metainfo(
        dict(
            img_shape=shape,
            ori_shape=shape,
            pad_shape=shape,
            batch_input_shape=shape,
            scale_factor=(1., 1.)))
    return [sample]
