# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Default loss weights for kinds of heads.

They are chosen so that, in the first steps, the gradient of each loss is about
as large as the task's. ``tools/analysis_tools/gradient_share.py`` measures it;
the table is in ``docs/gradient_share.md``. The weights for RetinaNet and
two-stage detectors are the published ones.
"""
from typing import NamedTuple, Optional

from torch import nn

from mmw2s.utils.kinds import is_kind

__all__ = ['feature_weight', 'score_weight']


class _Weights(NamedTuple):
    features: float  # for all levels together
    scores: float


# The first class that a head is an instance of counts.
_BY_HEAD = dict(
    RTMDetHead=_Weights(1.5, 0.05),
    RPNHead=_Weights(5., 1.),
    FSAFHead=_Weights(5., 1.),
    FoveaHead=_Weights(2., 1.),
    PAAHead=_Weights(50., 0.2),
    GFLHead=_Weights(10., 0.1),
    VFNetHead=_Weights(50., 1.),
    TOODHead=_Weights(50., 1.),
    ATSSHead=_Weights(50., 0.2))
_OTHERS = _Weights(50., 1.)
# Heads whose published weight is for each level, however many there are.
_BY_LEVEL = ('RetinaHead', )


def feature_weight(student: nn.Module, usual: float) -> float:
    """The ``loss_weight`` of a ``PKDLoss`` of feature maps.

    Losses are summed over levels, so the weight is divided by their number.

    Args:
        student (nn.Module): The student, without wrappers.
        usual (float): The weight if the number of levels is not known, or if
            the head's weight is for each level.
    """
    head = getattr(student, 'bbox_head', None)
    levels = _levels(student, head)
    if levels is None or type(head).__name__ in _BY_LEVEL:
        return usual
    return round(_of(head).features / levels, 3)


def score_weight(head: nn.Module) -> float:
    """The ``loss_weight`` of a ``QualityFocalKDLoss`` of a dense head."""
    return _of(head).scores


def _of(head: nn.Module) -> _Weights:
    return next(
        (weights for name, weights in _BY_HEAD.items() if is_kind(head, name)),
        _OTHERS)


def _levels(student: nn.Module, head: Optional[nn.Module]) -> Optional[int]:
    strides = getattr(getattr(head, 'prior_generator', None), 'strides', None)
    if strides:
        return len(strides)
    # Detectors with a transformer have a ChannelMapper.
    neck = getattr(student, 'neck', None)
    if not is_kind(neck, 'ChannelMapper'):
        return None
    return len(neck.convs) + len(neck.extra_convs or ())
