# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Finds out what of a student and a teacher can be compared."""
import logging
from typing import List, Optional, Sequence, Tuple

from mmengine.logging import print_log
from torch import nn

from mmw2s.distillation.class_matching import num_classes
from mmw2s.distillation.failures import is_of_the_machine, is_told
from mmw2s.distillation.knowledge.rpn import needs_proposals
from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.kinds import is_kind

__all__ = [
    'comparable_entries', 'same_number_of_classes', 'without_places',
    'why_incomparable'
]


def comparable_entries(choices: Sequence[Sequence[dict]], student: nn.Module,
                       teacher: nn.Module,
                       other_classes: Optional[str]) -> List[dict]:
    """The entries that fit the teacher; the log says why others do not.

    Args:
        choices (Sequence[Sequence[dict]]): Lists of entries. It is the first
            of which anything fits.
        student (nn.Module): The inner model.
        teacher (nn.Module): The teacher's inner model.
        other_classes (str, optional): How their classes differ.

    Raises:
        ValueError: If none fits.
    """
    reasons: List[str] = []
    for entries in choices:
        fitting, others = _compare(entries, student, teacher, other_classes)
        reasons += others
        if fitting:
            break
    else:
        raise ValueError('the teacher cannot be compared with the student. ' +
                         '; '.join(reasons))
    for reason in reasons:
        print_log(
            f'The distillation goes without {reason}.',
            logger='current',
            level=logging.WARNING)
    return fitting


def _compare(entries: Sequence[dict], student: nn.Module, teacher: nn.Module,
             other_classes: Optional[str]) -> Tuple[List[dict], List[str]]:
    """The entries that fit, and why others do not."""
    fitting, reasons = [], []
    for entry in entries:
        knowledge = KNOWLEDGE.build(entry['knowledge'])
        try:
            knowledge.check(student, teacher)
            knowledge.bind(student, teacher)
            if knowledge.by_class and other_classes:
                raise ValueError(other_classes)
        except Exception as error:  # an unknown head may raise anything
            if is_of_the_machine(error):
                raise
            bare = '' if is_told(error) else f'{type(error).__name__}: '
            reasons.append(f'{entry["knowledge"]["type"]}: {bare}{error}')
        else:
            fitting.append(entry)
    return fitting, reasons


def without_places(entries: Sequence[dict]) -> List[dict]:
    """The entries for a teacher that sees the images at another size.

    Raises:
        ValueError: If none is left.
    """
    placed = [
        entry for entry in entries
        if KNOWLEDGE.build(entry['knowledge']).by_place
    ]
    names = ', '.join(entry['knowledge']['type'] for entry in placed)
    if len(placed) == len(entries):
        raise ValueError(
            f'teacher.scale shows the teacher smaller images, but {names} '
            'needs both models to see the same: leave teacher.scale out')
    if placed:
        print_log(
            f'The distillation goes without {names}: the teacher sees '
            'smaller images (teacher.scale).',
            logger='current')
    return [entry for entry in entries if entry not in placed]


def why_incomparable(student: nn.Module,
                     teacher: nn.Module,
                     same_names: bool = True) -> Optional[str]:
    """Why the two cannot be scored on the same data, or None.

    Args:
        student (nn.Module): The inner model.
        teacher (nn.Module): The teacher's inner model.
        same_names (bool): Whether their classes have the same names, as far
            as that is known. Defaults to True.
    """
    if not same_names or not same_number_of_classes(student, teacher):
        return 'knows other classes, or in another order'
    if hasattr(student,
               'alphas_cumprod') and not hasattr(teacher, 'alphas_cumprod'):
        return 'is no diffusion model, so that it cannot be evaluated as one'
    if is_kind(teacher, 'ModuleClassifier') and not is_kind(
            student, 'BaseClassifier', 'TimmClassifier'):
        return 'gives class logits at most, which the run does not evaluate'
    if needs_proposals(teacher) and not needs_proposals(student):
        return ('has no rpn_head, and the proposals that it would need '
                'instead are not among the data of this student')
    return None


def same_number_of_classes(student: nn.Module, teacher: nn.Module) -> bool:
    """Whether two models have equally many classes, or one is not known."""
    counts = {num_classes(_head(model)) for model in (student, teacher)}
    return None in counts or len(counts) == 1


def _head(model: nn.Module) -> Optional[nn.Module]:
    model = getattr(model, 'roi_head', model)
    heads = (
        getattr(model, name, None)
        for name in ('bbox_head', 'head', 'mask_head', 'panoptic_head',
                     'decode_head'))
    head = next((head for head in heads if head is not None), None)
    # A cascade has a list of them, one for each stage.
    return head[-1] if isinstance(head, nn.ModuleList) else head
