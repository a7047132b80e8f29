# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
from contextlib import contextmanager
from typing import Any, Iterator

import torch
import torch.nn as nn
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import autocast

from mmw2s.utils.unwrap_model import unwrap_model
from mmw2s.utils.versions import emulates_bfloat16, refuse_bfloat16

__all__ = ['BF16OptimWrapper']


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, on a GPU or a CPU.

    MMEngine's ``AmpOptimWrapper`` needs a GPU. bfloat16 has the exponent range
    of float32, so no loss scaling is needed and nothing is added to the
    checkpoint. Parameters and optimizer states stay in float32. Only the
    forward of training runs under autocast; validation does not.

    A CPU without instructions for it (AVX2 alone, such as AMD's before Zen 4)
    would emulate it, 8 to 46 times as slow as float32 in one convolution.
    There it trains in float32, and warns.

    Note:
        mmcv's operators do not support bfloat16. So two-stage detectors, which
        use RoIAlign and NMS, cannot be trained with it. On a GPU, detectors
        with mmcv's focal loss cannot either: use ``AmpOptimWrapper`` (float16)
        there.

    Args:
        **kwargs: Arguments of :class:`mmengine.optim.OptimWrapper`.

    Examples:
        >>> optim_wrapper = dict(
        >>>     type='BF16OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
    """

    #: The attribute's name in ``AmpOptimWrapper``.
    cast_dtype = torch.bfloat16

    def __init__(self, optimizer: torch.optim.Optimizer,
                 **kwargs: Any) -> None:
        super().__init__(optimizer, **kwargs)
        self._accepted = False
        parameter = optimizer.param_groups[0]['params'][0]
        if parameter.device.type == 'cpu' and emulates_bfloat16():
            self.cast_dtype = torch.float32
            print_log(
                'BF16OptimWrapper trains in float32 here: this CPU has no '
                'instructions for bfloat16, and would emulate it many times '
                'more slowly. Give optim_wrapper.type=OptimWrapper to say so '
                'in the config.',
                logger='current',
                level=logging.WARNING)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward of ``model``.

        Args:
            model (nn.Module): The model that is trained.

        Raises:
            ValueError: For a model with operators of mmcv's own.
        """
        casts = self.cast_dtype is torch.bfloat16
        if casts and not self._accepted:
            refuse_bfloat16(unwrap_model(model))
            self._accepted = True
        with super().optim_context(model), autocast(
                dtype=torch.bfloat16, enabled=casts):
            yield
