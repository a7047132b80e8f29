# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from contextlib import contextmanager
from typing import Iterator

import torch
import torch.nn as nn
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import autocast

from mmw2s.utils.unwrap_model import unwrap_model
from mmw2s.utils.versions import refuse_bfloat16

__all__ = ['BF16OptimWrapper']


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, on a GPU or a CPU.

    MMEngine's ``AmpOptimWrapper`` needs a GPU. bfloat16 has the exponent range
    of float32, so no loss scaling is needed and nothing is added to the
    checkpoint. Parameters and optimizer states stay in float32. Only the
    forward of training runs under autocast; validation does not.

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
    _accepted = False

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward of ``model``.

        Args:
            model (nn.Module): The model that is trained.

        Raises:
            ValueError: For a model with operators of mmcv's own.
        """
        if not self._accepted:
            refuse_bfloat16(unwrap_model(model))
            self._accepted = True
        with super().optim_context(model), autocast(dtype=self.cast_dtype):
            yield
