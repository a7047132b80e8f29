# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A smaller model of the student's family."""
import copy
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from mmengine.config import Config
from torch import nn

from mmw2s.distillation.starts.grow import grow_out_of
from mmw2s.distillation.starts.layers import is_pretrained
from mmw2s.distillation.teacher_config import build_model
from mmw2s.engine.distill_config import import_package
from mmw2s.utils.init_cfg import loads_weights
from mmw2s.utils.kinds import is_kind
from .families import FAMILIES, HALF
from .readers import narrow, refit
from .size import ModelSize, inputs_for, measure

__all__ = ['DerivedModel', 'derive_model']

_ADVICE = 'give a teacher of your own, --teacher CONFIG'


class DerivedModel(NamedTuple):
    """The result of :func:`derive_model`.

    Attributes:
        cfg (Config): The student's config with the smaller model.
        size (ModelSize): Of the smaller model.
        of_student (ModelSize): Of the student.
        notes (list[str]): What a user should know about it, in sentences.
        has_narrow_heads (bool): Whether its neck and heads are narrower than
            the student's.
    """
    cfg: Config
    size: ModelSize
    of_student: ModelSize
    notes: List[str]
    has_narrow_heads: bool


def derive_model(cfg: Config,
                 width: Optional[float] = None,
                 narrow_heads: bool = False) -> DerivedModel:
    """Derive a smaller model of the student's family.

    A rule of :data:`~.families.FAMILIES` makes the backbone (or the denoiser)
    smaller. Both are then built and shown an image. What reads the backbone,
    a neck or a head, gets the ``in_channels`` that come out of it. Neck and
    heads stay as they are otherwise, so that a student can inherit them, or
    learn what they give.

    Args:
        cfg (Config): The student's config; it is not changed.
        width (float, optional): Factor of the channels. Defaults to None: as
            the family's rule has it.
        narrow_heads (bool): Whether neck and heads become as narrow as the
            backbone, if the student can still grow out of the teacher. It is
            for students that take the weights alone. Defaults to False.

    Raises:
        ValueError: If nothing is known about this kind of model, or what was
            derived does not work, or is not smaller.
    """
    student = build_model(cfg)
    part = 'denoiser' if hasattr(student, 'denoiser') else 'backbone'
    own = getattr(student, part, None)
    rule = FAMILIES.get(type(own).__name__)
    if rule is None:
        what = f'{type(student).__name__} with a {type(own).__name__}' \
            if own is not None else type(student).__name__
        raise ValueError(f'no teacher can be derived from a {what} (only from '
                         f'{", ".join(sorted(FAMILIES))}): {_ADVICE}')
    derived = copy.deepcopy(cfg)
    derived.load_from = None  # weights of the student
    model = derived.model
    pretrained = bool(cfg.get('load_from')) or is_pretrained(student)
    try:
        fields = rule(own, model[part], width, pretrained)
    except (AttributeError, ValueError) as error:  # another of that name
        raise ValueError(f'the {type(own).__name__} cannot be made smaller: '
                         f'{error}, or {_ADVICE}') from error
    model[part].update(fields)
    # A class of this package may be among them.
    import_package(derived)
    notes = _without_weights(cfg, model, part, fields)
    is_narrow = False
    try:
        if part == 'backbone':
            _refit(cfg, derived, student)
            if narrow_heads and not pretrained:
                is_narrow, said = _narrow(derived, student, width or HALF)
                notes += said
        sizes = measure(build_model(derived), student, cfg=derived)
    except (AssertionError, AttributeError, KeyError, NotImplementedError,
            RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f'the derived teacher ({part}: {fields}) does not work: {error}. '
            f'Instead, {_ADVICE}') from error
    if sizes[0].parameters >= sizes[1].parameters:
        raise ValueError(
            f'the derived teacher ({part}: {fields}) has {sizes[0]}, the '
            f'student {sizes[1]}: give a smaller --teacher-width')
    return DerivedModel(derived, *sizes, notes, is_narrow)


def _narrow(derived: Config, student: nn.Module,
            width: float) -> Tuple[bool, List[str]]:
    """Make neck and heads narrower, if the student grows out of them still.

    Returns:
        Tuple[bool, list[str]]: Whether they are, and sentences on it.
    """
    narrower = copy.deepcopy(derived)
    if not narrow(narrower.model, width):
        return False, []
    try:
        model = build_model(narrower)
        grow_out_of(student, model)
        # It would compute something else: docs/results/digit_scenes.md.
        if _normalizes_alone(model) and not _normalizes_alone(student):
            raise ValueError('a group norm would have one channel a group')
    except Exception as error:  # a trial, and a model may raise what it likes
        return False, [
            'Its neck and heads are as wide as the student\'s, which could '
            f'not grow out of narrower ones: {error}.'
        ]
    derived.model = narrower.model
    return True, [
        f'Its neck and heads have {width:g} of the student\'s channels too.'
    ]


def _normalizes_alone(model: nn.Module) -> bool:
    """Whether a group norm has groups of one channel."""
    return any(
        is_kind(module, 'GroupNorm')
        and module.num_groups == module.num_channels > 1
        for module in model.modules())


def _without_weights(cfg: Config, model: dict, part: str,
                     fields: Dict[str, Any]) -> List[str]:
    """Take out pretrained weights that do not fit the smaller model."""
    backbone = model[part]
    olds = [(owner, key) for owner in (model, backbone)
            for key in ('init_cfg', 'pretrained')
            if loads_weights(owner.get(key))]
    if len(olds) == 1 and _to_torchvision(*olds[0], fields):
        return []
    for owner, key in olds:
        owner[key] = None
    if not olds and not cfg.get('load_from'):
        return []
    # What is frozen, or keeps its statistics, has to be trained now.
    for key, trained in (('frozen_stages', -1), ('norm_eval', False)):
        if key in backbone:
            backbone[key] = trained
    if 'requires_grad' in (backbone.get('norm_cfg') or {}):
        backbone['norm_cfg']['requires_grad'] = True
    return [
        'The student begins with pretrained weights, the derived teacher '
        'from scratch: it may stay too weak, or take long. A teacher with '
        'weights of its own, --teacher CONFIG, is better.'
    ]


def _to_torchvision(owner: dict, key: str, fields: Dict[str, Any]) -> bool:
    """Name the smaller ResNet's weights in place of the student's."""
    old = owner[key]
    weights = old.get('checkpoint') if isinstance(old, dict) else old
    if 'depth' not in fields or 'base_channels' in fields or not str(
            weights).startswith('torchvision://resnet'):
        return False
    new = f'torchvision://resnet{fields["depth"]}'
    owner[key] = dict(old, checkpoint=new) if isinstance(old, dict) else new
    return True


def _refit(cfg: Config, derived: Config, student: nn.Module) -> None:
    """Fit what reads the backbone to the channels that it gives now."""
    # Built alone: the rest of the model does not fit yet.
    alone = copy.deepcopy(derived)
    alone.model = dict(derived.model.backbone)
    alone.pop('data_preprocessor', None)
    refit(derived.model, _channels(student.backbone, cfg),
          _channels(build_model(alone), derived))


@torch.no_grad()
def _channels(backbone: nn.Module, cfg: Config) -> List[int]:
    """The channels of each output of a backbone."""
    backbone.eval()  # mmdet's return nothing
    outputs = backbone(inputs_for(cfg))
    if isinstance(outputs, torch.Tensor):
        outputs = [outputs]
    # Tokens are (B, length, C); maps (B, C, H, W) and vectors (B, C).
    return [out.shape[2 if out.ndim == 3 else 1] for out in outputs]
