# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What is refused where an entry does not fit both models."""
from typing import Any, ContextManager, Dict, List, Mapping, Sequence

import torch
from torch import Tensor

from .failures import retold
from .knowledge import Knowledge, Pair
from .recorder import Call
from .teacher import FrozenTeacher
from .terms import Term

__all__ = [
    'calls_needed', 'pairing_named', 'refuse_no_number', 'refuse_other_size',
    'refuse_unfit'
]


def refuse_other_size(knowledge: Knowledge, teacher: FrozenTeacher) -> None:
    """Refuse knowledge of places where the teacher sees smaller images.

    Raises:
        ValueError: If it is such knowledge and such a teacher.
    """
    if knowledge.by_place and teacher.scale != 1:
        raise ValueError(
            f'{type(knowledge).__name__} pairs what both models say of one '
            f'place in the image, but teacher.scale={teacher.scale:g} shows '
            'the teacher a smaller one: distill feature maps (FPNFeatures) '
            'alone, or leave teacher.scale out')


def pairing_named(term: Term) -> ContextManager[None]:
    """Name the entry in the message of any error."""
    knowledge = term.knowledge
    return retold(lambda error: (
        f'{term.key}: what the student\'s {knowledge.module} and the '
        f'teacher\'s {knowledge.teacher_module} give could not be compared by '
        f'{type(knowledge).__name__} and {type(term.loss).__name__} {error}. '
        'Name other modules in this entry of distill, or distill feature maps '
        '(knowledge FPNFeatures, of a neck or a stage)'))


def calls_needed(terms: Sequence[Term],
                 recorded: Mapping[str, List[Call]]) -> Dict[str, int]:
    """How many calls of which module the teacher's forward must reach."""
    until: Dict[str, int] = {}
    for term in terms:
        first = term.knowledge.student_modules[0]
        if not recorded.get(first):
            raise RuntimeError(
                f'the student\'s {first} was not called in its forward in '
                f'loss mode: name in the knowledge of {term.key} a module '
                'that is called')
        with pairing_named(term):
            needed = term.knowledge.calls_needed(recorded)
        for name, calls in needed.items():
            until[name] = max(calls, until.get(name, 0))
    return until


def refuse_unfit(term: Term, pairs: Sequence[Pair], teacher: str) -> None:
    """Refuse pairs from which the student cannot learn.

    Called in the first batch alone, because it makes the host wait for
    the device.

    Raises:
        ValueError: If the teacher gives values that are not finite, or no
            gradient reaches the student.
    """
    for pair in pairs:
        if not torch.isfinite(pair.teacher).all():
            raise ValueError(
                f'the teacher {teacher} gives values at '
                f'{pair.name} that are not finite: check its checkpoint, '
                'its normalization, and teacher.precision')
    if pairs and not any(pair.student.requires_grad for pair in pairs):
        raise ValueError(
            f'no gradient reaches the student through {term.key}: '
            f'{pairs[0].name} is frozen, or is within a part that '
            'activation checkpointing computes without one. Name in the '
            'knowledge a module that is trained; in '
            'activation_checkpointing, layers that are given one feature '
            'map (backbone.layer2), not a whole neck or head')


def refuse_no_number(term: Term, losses: Sequence[Any]) -> None:
    """Refuse what a loss gives, unless it is a tensor of a single number.

    Raises:
        TypeError: If a loss is no tensor of shape ().
    """
    for loss in losses:
        if not isinstance(loss, Tensor) or loss.dim():
            given = f'a tensor of shape {tuple(loss.shape)}' if isinstance(
                loss, Tensor) else f'a {type(loss).__name__}'
            raise TypeError(
                f'{type(term.loss).__name__} ({term.key}) should give a '
                f'tensor of shape (), but gives {given}: return its mean or '
                'its sum')
