# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Mapping

from .kinds import bare_name

__all__ = ['loads_weights']


def loads_weights(init: Any) -> bool:
    """Whether an ``init_cfg``, or a field ``pretrained``, names weights.

    MMEngine registers one class under two names, and configs in Python have
    the class itself.

    Args:
        init (Any): The field of a model's config or of a built module: a
            dict, a list of them, a path, True, or None.
    """
    if isinstance(init, (list, tuple)):
        return any(map(loads_weights, init))
    if isinstance(init, Mapping):
        return bare_name(init.get('type')) in ('Pretrained', 'PretrainedInit')
    return init is True or isinstance(init, str)
