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
    """Stores the model's weights in channels-last memory format.

    With it, convolutions in a 16-bit format are faster on GPUs with tensor
    cores and on CPUs. Values and checkpoints do not change. Activations take
    the format of the weights, and so does a frozen teacher.

    Raises:
        ValueError: Before anything runs, if the model has mmcv's own operators
            (RoIAlign, deformable convolutions), which would give wrong values.

    Examples:
        >>> custom_hooks = [dict(type='ChannelsLastHook')]
    """

    # Before WeakTeacherDistillHook, which gives the teacher the student's
    # memory format.
    priority = 'ABOVE_NORMAL'

    def before_run(self, runner: Runner) -> None:
        """Convert the model in place, before training or evaluation."""
        model = unwrap_model(runner.model)
        operators = mmcv_operators(model)
        if operators:
            raise ValueError(
                f'the {type(model).__name__} has operators of mmcv '
                f'({", ".join(operators)}), which give wrong values for maps '
                'with the channels last: leave ChannelsLastHook out')
        model.to(memory_format=torch.channels_last)
