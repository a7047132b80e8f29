# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmengine.model import is_model_wrapper
from torch import nn

from mmw2s.utils.kinds import is_kind

__all__ = ['unwrap_model']


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model itself, without wrappers of several processes or LoRA's."""
    while is_model_wrapper(model) or is_kind(model, 'LoRAModel'):
        model = model.module
    return model
