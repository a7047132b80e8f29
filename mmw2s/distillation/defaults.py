# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the plug-and-play form ``teacher=...`` alone stands for."""
from typing import List

from torch import nn

__all__ = ['default_distill', 'default_schedule', 'default_stop']


def default_distill(student: nn.Module) -> List[dict]:
    """The ``distill`` field for the kind of model that the student is.

    Args:
        student (nn.Module): The inner model.

    Raises:
        ValueError: If nothing is known about that kind of model.
    """
    head = getattr(student, 'bbox_head', None)
    if head is not None and hasattr(head, 'prior_generator'):
        sigmoid = getattr(head, 'use_sigmoid_cls', True)
        return [
            dict(
                knowledge=dict(type='FPNFeatures'),
                loss=dict(type='PKDLoss', loss_weight=10.)),
            dict(
                knowledge=dict(type='DenseHeadOutputs'),
                loss=dict(type='QualityFocalKDLoss', loss_weight=1.))
            if sigmoid else dict(
                knowledge=dict(type='DenseHeadOutputs'),
                loss=dict(type='KDLoss', loss_weight=1.)),
        ]
    raise ValueError(
        f'no default distillation is known for a {type(student).__name__}: '
        'give the hook a "distill" field, e.g. distill=[dict(knowledge=dict('
        'type="FPNFeatures", module="neck"), loss=dict(type="PKDLoss", '
        'loss_weight=10.))]')


def default_schedule() -> dict:
    """Warm-up, full strength up to 15 % of the run, 0 at 30 %.

    It fades early, for the teacher holds a student back that comes close to
    it: see the runs on BCCD in ``docs/results.md``.
    """
    return dict(
        type='WarmupHoldDecay', warmup=0.02, hold=0.13, decay=0.15, unit='run')


def default_temperature() -> dict:
    """From 6 to 1 over the first 30 % of the run."""
    return dict(type='Linear', start=6., end=1., length=0.3, unit='run')


def default_stop(has_validation: bool) -> dict:
    """Surpass the teacher in validation, or in training without one."""
    return dict(type='SurpassTeacher' if has_validation else 'SurpassOnTrain')
