# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the plug-and-play form ``teacher=...`` alone stands for."""
import logging
from typing import List, Optional, Sequence

from mmengine.logging import print_log
from torch import nn

from mmw2s.registry import KNOWLEDGE, is_kind

__all__ = ['default_distill', 'default_schedule', 'default_stop']


def default_distill(student: nn.Module, teacher: nn.Module) -> List[dict]:
    """The ``distill`` field for the kind of model that the student is.

    Args:
        student (nn.Module): The inner model.
        teacher (nn.Module): The teacher's. Of a detector, what it cannot be
            compared with is left out and said in the log, such as the scores
            of another kind of head or of other classes.

    Raises:
        ValueError: If nothing is known about that kind of model, or nothing
            of it can be compared with the teacher.
    """
    head = getattr(student, 'bbox_head', None)
    if head is not None and hasattr(head, 'prior_generator'):
        return _comparable([
            _features(student, teacher, loss_weight=10.),
            _scores('DenseHeadOutputs', _has_sigmoid(head))
        ], student, teacher)
    if hasattr(student, 'rpn_head') or hasattr(student, 'roi_head'):
        entries = [_features(student, teacher, loss_weight=6.)]
        if hasattr(student, 'rpn_head'):
            entries.append(
                _scores('RPNOutputs', _has_sigmoid(student.rpn_head)))
        if hasattr(student, 'roi_head'):
            entries.append(
                dict(
                    knowledge=dict(type='RoIHeadOutputs'),
                    loss=dict(type='KDLoss', temperature=1., loss_weight=1.)))
        return _comparable(entries, student, teacher)
    if _is_classifier(student):
        return [
            _scores(
                'ClassLogits',
                sigmoid=is_kind(student.head, 'MultiLabelClsHead'),
                loss_weight=3.)
        ]
    if hasattr(student, 'alphas_cumprod'):  # DenoisingDiffusion
        return [
            dict(
                knowledge=dict(type='Denoising'),
                loss=dict(type='MSEKDLoss', loss_weight=1.))
        ]
    raise ValueError(
        f'no default distillation is known for a {type(student).__name__}: '
        'give the hook a "distill" field, e.g. distill=[dict(knowledge=dict('
        'type="FPNFeatures", module="neck"), loss=dict(type="PKDLoss", '
        'loss_weight=10.))]')


def _is_classifier(model: nn.Module) -> bool:
    # mmpretrain's classifiers, not its self-supervised models.
    return hasattr(getattr(model, 'head', None), 'pre_logits')


def _features(student: nn.Module, teacher: nn.Module,
              loss_weight: float) -> dict:
    knowledge = dict(type='FPNFeatures')
    ours, theirs = ('neck' if hasattr(model, 'neck') else 'backbone'
                    for model in (student, teacher))
    if ours != 'neck':
        knowledge['module'] = ours
    if theirs != ours:
        knowledge['teacher_module'] = theirs
    return dict(
        knowledge=knowledge,
        loss=dict(type='PKDLoss', loss_weight=loss_weight))


def _scores(kind: str, sigmoid: bool, loss_weight: float = 1.) -> dict:
    if sigmoid:
        return dict(
            knowledge=dict(type=kind),
            loss=dict(type='QualityFocalKDLoss', loss_weight=loss_weight))
    return dict(
        knowledge=dict(type=kind),
        loss=dict(type='KDLoss', loss_weight=loss_weight),
        temperature=default_temperature())


def _has_sigmoid(head: nn.Module) -> bool:
    return getattr(head, 'use_sigmoid_cls', True)


def _comparable(entries: Sequence[dict], student: nn.Module,
                teacher: nn.Module) -> List[dict]:
    """The entries that the teacher fits; the log says why others do not."""
    fitting, reasons = [], []
    for entry in entries:
        try:
            KNOWLEDGE.build(entry['knowledge']).check(student, teacher)
        except ValueError as error:
            reasons.append(f'{entry["knowledge"]["type"]}: {error}')
        else:
            fitting.append(entry)
    if not fitting:
        raise ValueError('the teacher cannot be compared with the student. ' +
                         '; '.join(reasons))
    for reason in reasons:
        print_log(
            f'The default distillation goes without {reason}.',
            logger='current',
            level=logging.WARNING)
    return fitting


def default_schedule(student: nn.Module) -> dict:
    """The strength: a short warm-up, full for a while, then fading to 0.

    Full up to 15 % of the run and 0 at 30 %, for the teacher holds a student
    back that comes close to it. Classifiers keep the lead that a teacher gives
    for longer: full up to 20 %, and 0 at 50 %. See ``docs/results.md``.

    Args:
        student (nn.Module): The inner model.
    """
    spans = dict(hold=0.13, decay=0.15)
    if _is_classifier(student):
        spans = dict(hold=0.18, decay=0.3)
    return dict(type='WarmupHoldDecay', warmup=0.02, **spans, unit='run')


def default_temperature() -> dict:
    """From 6 to 1 over the first half of the run."""
    return dict(type='Linear', start=6., end=1., length=0.5, unit='run')


def default_stop(has_validation: bool,
                 max_iters: int,
                 comparable: bool = True) -> dict:
    """Surpass the teacher in validation, or in training without one.

    Args:
        has_validation (bool): Whether the run validates.
        max_iters (int): Its length.
        comparable (bool): Whether the teacher can be scored on the run's
            data, see :func:`same_number_of_classes`. If it cannot, the middle
            of the run is the end, which is where the others give up too.
            Defaults to True.
    """
    if not comparable:
        return dict(type='At', iter=max_iters // 2)
    return dict(type='SurpassTeacher' if has_validation else 'SurpassOnTrain')


def same_number_of_classes(student: nn.Module, teacher: nn.Module) -> bool:
    """Whether two models, as far as they tell, know as many classes."""
    ours, theirs = (_num_classes(model) for model in (student, teacher))
    return None in (ours, theirs) or ours == theirs


def _num_classes(model: nn.Module) -> Optional[int]:
    head = getattr(model, 'roi_head', model)
    head = getattr(head, 'bbox_head', getattr(head, 'head', None))
    if isinstance(head, nn.ModuleList):  # the stages of a cascade
        head = head[-1]
    return getattr(head, 'num_classes', None)
