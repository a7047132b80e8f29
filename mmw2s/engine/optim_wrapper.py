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
    """Mixed precision in bfloat16, on a CPU too.

    MMEngine's ``AmpOptimWrapper`` needs an accelerator. bfloat16 has the
    exponent range of float32, so no loss scaling is needed and nothing is
    added to the checkpoint. Parameters and optimizer states stay float32;
    only the forward of training runs under autocast, validation does not.

    Note:
        mmcv's kernels have no bfloat16 version. This rules out two-stage
        detectors, for RoIAlign and NMS; on CUDA the focal loss too: use
        ``AmpOptimWrapper`` (float16) there.

    Args:
        **kwargs: Those of :class:`mmengine.optim.OptimWrapper`.
    """

    #: As ``AmpOptimWrapper`` names it.
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
