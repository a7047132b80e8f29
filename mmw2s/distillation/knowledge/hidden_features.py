# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, List, Optional, Sequence

from torch import Tensor

from mmw2s.registry import KNOWLEDGE
from ..recorder import Call
from ..teacher_outputs import TeacherOutputs
from .base import Pair, Recorded
from .feature_maps import FPNFeatures

__all__ = ['HiddenFeatures']


@KNOWLEDGE.register_module()
class HiddenFeatures(FPNFeatures):
    """Feature maps of a stage, or tokens of a transformer block.

    Tokens (B, L, C) are laid out as feature maps (B, C, H, W). A class token
    and a distillation token before them are left out. Everything else is as
    in :class:`FPNFeatures`: if two architectures differ in size, the teacher's
    maps are resized; if they differ in channels, the wider maps are projected,
    or the student's maps are adapted.

    Args:
        module (str): Name of the student's module, such as
            ``'backbone.layer4'``, ``'backbone.stages.3'`` or
            ``'backbone.layers.11'``. Defaults to ``'backbone'``, for a
            backbone that gives maps.
        teacher_module (str, optional): Name of the teacher's module. Defaults
            to the same name.
        levels (Sequence[int], optional): Which maps are compared if the
            module gives several, as in :class:`FPNFeatures`. Defaults to None.
        seed (int): Seed of the random projections. Defaults to 0.
        adapter (str): As in :class:`FPNFeatures`. Defaults to ``'fixed'``.

    Raises:
        ValueError: From :meth:`pairs`, if the tokens of a module are no grid
            of the image.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(
        >>>         type='HiddenFeatures', module='backbone.layer4'),
        >>>     loss=dict(type='PKDLoss', loss_weight=1.))]
    """

    name = 'hidden'

    def __init__(self,
                 module: str = 'backbone',
                 teacher_module: Optional[str] = None,
                 levels: Optional[Sequence[int]] = None,
                 seed: int = 0,
                 adapter: str = 'fixed') -> None:
        super().__init__(module, teacher_module, levels, seed, adapter)

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        size = outputs.inputs.shape[2:]
        return super().pairs(
            {self.module: _calls_with_maps(recorded, self.module, size)}, {
                self.teacher_module:
                _calls_with_maps(outputs, self.teacher_module, size)
            })


def _calls_with_maps(calls: Any, module: str,
                     size: Sequence[int]) -> List[Call]:
    return [
        Call(call.inputs, _as_maps(module, call.output, size))
        for call in calls[module]
    ]


def _as_maps(module: str, output: Any, size: Sequence[int]) -> List[Tensor]:
    """The output of a module as maps (B, C, H, W), tokens laid out."""
    outputs = [output] if isinstance(output, Tensor) else output
    maps = []
    for x in outputs:
        if not isinstance(x, Tensor):  # some modules add the grid's size
            continue
        if x.dim() == 3:
            x = _grid(module, x, size)
        maps.append(x)
    return maps


def _grid(module: str, tokens: Tensor, size: Sequence[int]) -> Tensor:
    """Tokens (B, L, C) as a map (B, C, H, W) of the image's aspect ratio."""
    length = tokens.shape[1]
    # No token, a class token, or also a distillation token precede the grid.
    for count in range(length, max(length - 3, 0), -1):
        height = round((count * size[0] / size[1])**0.5)
        width = count // max(height, 1)
        if height * width == count and height * size[1] == width * size[0]:
            grid = tokens[:, length - count:].transpose(1, 2)
            return grid.unflatten(2, (height, width))
    raise ValueError(f'{module} gives {length} tokens, which are no grid of '
                     f'images of {size[0]} x {size[1]}: name another block')
