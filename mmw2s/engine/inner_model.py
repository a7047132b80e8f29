# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmengine.model import is_model_wrapper
from torch import nn

__all__ = ['inner_model']


def inner_model(model: nn.Module) -> nn.Module:
    """The model itself, without the wrapper of several processes."""
    return model.module if is_model_wrapper(model) else model
