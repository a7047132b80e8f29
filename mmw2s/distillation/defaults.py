# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the plug-and-play form ``teacher=...`` alone stands for."""
import logging
from typing import Any, List, Optional, Sequence

from mmengine.logging import print_log
from torch import nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.kinds import is_kind
from .default_weights import feature_weight, score_weight
from .failures import is_of_the_machine, is_told
from .knowledge import ClassLogits
from .knowledge.dense_head import activation_of
from .knowledge.feature_modules import feature_module
from .knowledge.rpn import needs_proposals

__all__ = ['default_distill', 'default_schedule', 'default_stop']


def default_distill(student: nn.Module,
                    teacher: nn.Module,
                    other_classes: Optional[str] = None) -> List[dict]:
    """The ``distill`` field for the kind of model that the student is.

    Args:
        student (nn.Module): The inner model.
        teacher (nn.Module): The teacher's. Of a detector, what it cannot be
            compared with is left out and said in the log, such as the scores
            of another kind of head or of other classes.
        other_classes (str, optional): How the names of their classes
            differ, see :func:`~mmw2s.distillation.class_matching.
            class_difference`. Defaults to None, where they do not.

    Raises:
        ValueError: If nothing is known about that kind of model, or nothing
            of it can be compared with the teacher.
    """
    if _is_detector(student):
        return _comparable(
            _of_detector(student, teacher), student, teacher, other_classes)
    if _logits_module(student) is not None:
        return _of_classifier(student, teacher)
    if hasattr(student, 'alphas_cumprod'):  # DenoisingDiffusion
        return [
            dict(
                knowledge=dict(type='Denoising'),
                loss=dict(type='MSEKDLoss', loss_weight=1.))
        ]
    raise ValueError(_nothing_known(student))


def _is_detector(model: nn.Module) -> bool:
    """Whether it finds objects in maps that its neck or backbone gives."""
    if not hasattr(model, 'backbone'):
        return False
    heads = ('bbox_head', 'rpn_head', 'roi_head')
    return is_kind(model, 'BaseDetector') or any(
        getattr(model, head, None) is not None for head in heads)


def _of_detector(student: nn.Module, teacher: nn.Module) -> List[dict]:
    """Features of any detector; what its heads give, where it is known."""
    head = getattr(student, 'bbox_head', None)
    if head is None and (hasattr(student, 'rpn_head')
                         or hasattr(student, 'roi_head')):
        entries = [_features(student, teacher, loss_weight=6.)]
        if hasattr(student, 'rpn_head'):
            entries.append(_rpn_scores(student, teacher))
        if hasattr(student, 'roi_head'):
            entries.append(
                dict(
                    knowledge=dict(type='RoIHeadOutputs'),
                    loss=dict(type='KDLoss', temperature=1., loss_weight=1.)))
        return entries
    entries = [_features(student, teacher, loss_weight=10.)]
    if _is_rpn(student):
        entries.append(_rpn_scores(student, teacher))
    elif head is not None:
        entries.append(_dense_scores('DenseHeadOutputs', head))
    return entries


def _of_classifier(student: nn.Module, teacher: nn.Module) -> List[dict]:
    ours = _logits_module(student)
    theirs = _logits_module(teacher) or ours
    knowledge = dict(type='ClassLogits', **_modules(ours, theirs, 'head'))
    if is_kind(student.get_submodule(ours), 'MultiLabelClsHead'):
        loss = dict(type='QualityFocalKDLoss', loss_weight=3.)
        return [dict(knowledge=knowledge, loss=loss)]
    return [
        dict(
            knowledge=knowledge,
            loss=dict(type='KDLoss', loss_weight=3.),
            temperature=default_temperature())
    ]


def _nothing_known(student: nn.Module) -> str:
    """Why there is no default, with a module of the student to begin from."""
    head = getattr(student, 'bbox_head', None) or getattr(
        student, 'head', None)
    # Without a module of a known name, what there is to choose from.
    module = feature_module(student) or '<one of ' + ', '.join(
        name for name, _ in student.named_children()) + '>'
    return (
        f'no default distillation is known for a {type(student).__name__}'
        f'{f" with a {type(head).__name__}" if head is not None else ""}: '
        'give the hook a "distill" field, e.g. distill=[dict(knowledge=dict('
        f'type="FPNFeatures", module="{module}"), loss=dict(type="PKDLoss", '
        'loss_weight=10.))], or of a classifier distill=[dict(knowledge=dict('
        'type="ClassLogits", module=<what gives logits>), loss=dict('
        'type="KDLoss", loss_weight=3.))]')


def _logits_module(model: nn.Module) -> Optional[str]:
    """What gives the logits of one of mmpretrain's classifiers."""
    if is_kind(model, 'TimmClassifier'):
        return 'model'
    head = getattr(model, 'head', None)
    # Other models have heads of this kind too, and predict without them.
    if not is_kind(model, 'BaseClassifier') or not hasattr(head, 'pre_logits'):
        return None
    # It has two branches, and gives the logits of each.
    return 'head.conv_cls_head' if is_kind(head, 'ConformerHead') else 'head'


def _has_neck(model: nn.Module) -> bool:
    return getattr(model, 'neck', None) is not None


def _is_rpn(model: nn.Module) -> bool:
    # mmdet's detector of that name, not a part of a two-stage one.
    return is_kind(getattr(model, 'bbox_head', None), 'RPNHead')


def _modules(ours: str, theirs: str, usual: str) -> dict:
    """The fields of a knowledge that name modules, where they have to."""
    named = {} if ours == usual else dict(module=ours)
    return named if theirs == ours else dict(named, teacher_module=theirs)


def _features(student: nn.Module, teacher: nn.Module,
              loss_weight: float) -> dict:
    ours, theirs = ('neck' if _has_neck(model) else 'backbone'
                    for model in (student, teacher))
    return dict(
        knowledge=dict(type='FPNFeatures', **_modules(ours, theirs, 'neck')),
        loss=dict(
            type='PKDLoss', loss_weight=feature_weight(student, loss_weight)))


def _rpn_scores(student: nn.Module, teacher: nn.Module) -> dict:
    ours, theirs = ('bbox_head' if _is_rpn(model) else 'rpn_head'
                    for model in (student, teacher))
    return _dense_scores('RPNOutputs', student.get_submodule(ours),
                         **_modules(ours, theirs, 'rpn_head'))


def _dense_scores(kind: str, head: nn.Module, **modules: str) -> dict:
    if activation_of(head) == 'sigmoid':
        loss = dict(type='QualityFocalKDLoss', loss_weight=score_weight(head))
    else:
        # Summed over all anchors and divided by the few positives: at the
        # weight 1 of other heads it would be many times the task's loss.
        loss = dict(type='KDLoss', temperature=1., loss_weight='auto')
    return dict(knowledge=dict(type=kind, **modules), loss=loss)


def _comparable(entries: Sequence[dict], student: nn.Module,
                teacher: nn.Module,
                other_classes: Optional[str]) -> List[dict]:
    """The entries that the teacher fits; the log says why others do not."""
    fitting, reasons = [], []
    for entry in entries:
        knowledge = KNOWLEDGE.build(entry['knowledge'])
        try:
            knowledge.check(student, teacher)
            if knowledge.by_class and other_classes:
                raise ValueError(other_classes)
        except Exception as error:  # heads that are not known lack a lot
            if is_of_the_machine(error):
                raise
            bare = '' if is_told(error) else f'{type(error).__name__}: '
            reasons.append(f'{entry["knowledge"]["type"]}: {bare}{error}')
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


def default_schedule(student: nn.Module, terms: Sequence[Any] = ()) -> dict:
    """The strength: a short warm-up, full for a while, then fading to 0.

    Full up to 15 % of the run and 0 at 30 %, for the teacher holds a student
    back that comes close to it. Classifiers keep the lead that a teacher gives
    for longer: full up to 20 %, and 0 at 50 %. See ``docs/results.md``.

    Args:
        student (nn.Module): The inner model.
        terms (Sequence[Term]): What is distilled. A model whose
            ``ClassLogits`` are, is a classifier. Defaults to none.
    """
    spans = dict(hold=0.13, decay=0.15)
    if is_kind(student, 'BaseClassifier') or any(
            isinstance(term.knowledge, ClassLogits) for term in terms):
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
            data, see :func:`why_incomparable`. If it cannot, the middle
            of the run is the end, which is where the others give up too.
            Defaults to True.
    """
    if not comparable:
        return dict(type='At', iter=max_iters // 2)
    return dict(type='SurpassTeacher' if has_validation else 'SurpassOnTrain')


def why_incomparable(student: nn.Module,
                     teacher: nn.Module,
                     same_names: bool = True) -> Optional[str]:
    """What keeps the two from being scored on the same data, or None.

    Args:
        student (nn.Module): The inner model.
        teacher (nn.Module): The teacher's.
        same_names (bool): Whether their classes have the same names, as far
            as is known. Defaults to True.
    """
    if not same_names or not same_number_of_classes(student, teacher):
        return 'knows other classes, or in another order'
    if needs_proposals(teacher) and not needs_proposals(student):
        return ('has no rpn_head, and the proposals that it would need '
                'instead are not among the data of this student')
    return None


def same_number_of_classes(student: nn.Module, teacher: nn.Module) -> bool:
    """Whether two models, as far as they tell, know as many classes."""
    ours, theirs = (_num_classes(model) for model in (student, teacher))
    return None in (ours, theirs) or ours == theirs


def _num_classes(model: nn.Module) -> Optional[int]:
    model = getattr(model, 'roi_head', model)
    heads = (
        getattr(model, name, None)
        for name in ('bbox_head', 'head', 'mask_head', 'panoptic_head'))
    head = next((head for head in heads if head is not None), None)
    if isinstance(head, nn.ModuleList):  # the stages of a cascade
        head = head[-1]
    return getattr(head, 'num_classes', None)
