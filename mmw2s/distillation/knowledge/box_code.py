# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The meaning of a head's box deltas, to compare that of two heads."""
from typing import Any

from torch import nn

__all__ = ['box_code', 'code_size']

# Fields that change decoded boxes, but not the meaning of deltas.
_OF_DECODING = ('clip_border', 'add_ctr_clamp', 'ctr_clamp', 'use_box_type')
# Attributes of heads: deltas in strides or in pixels (FCOS), and one box for
# all classes (RoI heads).
_OF_THE_HEAD = ('norm_on_bbox', 'reg_class_agnostic')


def box_code(head: nn.Module) -> dict:
    """What two heads must share for their deltas to be comparable.

    Args:
        head (nn.Module): A head, with or without a ``bbox_coder``.

    Returns:
        dict: Class and fields of the coder (those of rotated boxes included,
        such as ``norm_factor``), the size of a delta, and attributes of the
        head.
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
    """The number of values in a delta of the head."""
    return getattr(getattr(head, 'bbox_coder', None), 'encode_size', 4)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_plain(v) for v in value)
    simple = value is None or isinstance(value, (bool, int, float, str))
    # The repr of an object has its address, which differs between equal ones.
    return value if simple else type(value).__name__
