# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the box deltas of a head stand for."""
from typing import Any

from torch import nn

__all__ = ['box_code', 'code_size']

# They tell what becomes of a decoded box, not what its deltas stand for.
_OF_DECODING = ('clip_border', 'add_ctr_clamp', 'ctr_clamp', 'use_box_type')
# In strides or in pixels (FCOS); one delta for all classes (RoI heads).
_OF_THE_HEAD = ('norm_on_bbox', 'reg_class_agnostic')


def box_code(head: nn.Module) -> dict:
    """What two heads must share for their deltas to be comparable.

    Args:
        head (nn.Module): With a ``bbox_coder``, or without one.

    Returns:
        dict: Class and fields of the coder, numbers in a delta, and what the
        head says of its deltas. Rotated boxes have fields of their own, such
        as ``norm_factor``.
    """
    coder = getattr(head, 'bbox_coder', None)
    fields = vars(coder) if coder is not None else {}
    code = {
        name: _plain(value)
        for name, value in fields.items()
        if not name.startswith('_') and name not in _OF_DECODING
    }
    said = {n: getattr(head, n) for n in _OF_THE_HEAD if hasattr(head, n)}
    return dict(
        code, coder=type(coder).__name__, numbers=code_size(head), **said)


def code_size(head: nn.Module) -> int:
    """How many numbers a delta of the head is made of."""
    return getattr(getattr(head, 'bbox_coder', None), 'encode_size', 4)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_plain(v) for v in value)
    simple = value is None or isinstance(value, (bool, int, float, str))
    # The address in an object's text would tell equal ones apart.
    return value if simple else type(value).__name__
