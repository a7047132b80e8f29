# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmw2s.utils.unwrap_model import unwrap_model
from mmw2s.utils.versions import mmcv_operators

__all__ = ['ChannelsLastHook']


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lays the model's weights out with the channels last.

    Convolutions in a 16-bit format are faster in that layout, on GPUs with
    tensor cores and on CPUs. Values and checkpoints stay what they are, and
    activations take the layout of the weights. A frozen teacher follows its
    student.

    Raises:
        ValueError: Before anything runs, for a model with operators of mmcv's
            own (RoIAlign, deformable convolutions), which would give wrong
            values.
    """

    # Before WeakTeacherDistillHook, which looks at the student's layout.
    priority = 'ABOVE_NORMAL'

    def before_run(self, runner: Runner) -> None:
        """Convert in place, for training as for evaluation alone."""
        model = unwrap_model(runner.model)
        operators = mmcv_operators(model)
        if operators:
            raise ValueError(
                f'the {type(model).__name__} has operators of mmcv '
                f'({", ".join(operators)}), which give wrong values for maps '
                'with the channels last: leave ChannelsLastHook out')
        model.to(memory_format=torch.channels_last)
