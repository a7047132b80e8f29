# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Builds the parts of a distillation from the fields of the hook."""
import copy
import dataclasses
from typing import (Any, Callable, Dict, List, NamedTuple, Optional, Sequence,
                    Union)

import torch
from mmengine._strategy import SingleDeviceStrategy
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from mmw2s.distillation import class_matching
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.gradient_share import is_fsdp
from mmw2s.distillation.pipelines import match_pipelines
from mmw2s.distillation.recipes import (default_distill, default_schedule,
                                        default_stop, why_incomparable,
                                        without_places)
from mmw2s.distillation.schedules import Schedule
from mmw2s.distillation.stop_rules import StopOnConflict, StopRule
from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.terms import build_terms
from mmw2s.records.files import FIRST
from mmw2s.registry import SCHEDULES, STARTS, STOP_RULES
from mmw2s.utils.building import owned_by
from mmw2s.utils.fields import check_integer, check_number
from mmw2s.utils.kinds import is_kind
from mmw2s.utils.rng import preserved_rng
from mmw2s.utils.unwrap_model import unwrap_model
from mmw2s.utils.versions import refuse_bfloat16
from .logged_scalars import LoggedScalars
from .permuted_run import check_permuted
from .run_classes import check_validation, student_classes
from .run_facts import iters_per_epoch, iters_per_update
from .several_teachers import check_name

__all__ = ['Assembly', 'Fields', 'assemble', 'refuse_run']

_HOOK = 'WeakTeacherDistillHook'
# The value of `distill` for all that is known of a kind of model.
_FULL = 'full'
Decider = Union[Schedule, StopRule]


@dataclasses.dataclass
class Fields:
    """The fields of ``WeakTeacherDistillHook``, as the user gave them.

    ``distill``, ``schedule`` and ``stop`` may be given in full, in part, or
    not at all. ``--cfg-options default_hooks.w2s.schedule.hold=0.3``, for
    example, changes one number of the default, and
    ``default_hooks.w2s.distill.full.1.loss.loss_weight=2.`` one of
    ``distill='full'``.
    """
    teacher: Union[str, dict]
    distill: Union[None, str, dict, Sequence[dict]] = None
    schedule: Optional[dict] = None
    stop: Optional[dict] = None
    task_weight: float = 1.0
    start: Optional[dict] = None
    every: int = 1
    name: str = FIRST
    after: Optional[str] = None
    #: Whether what ``distill`` leaves out is all that is known of the model.
    is_full: bool = dataclasses.field(default=False, init=False)

    def __post_init__(self) -> None:
        # Left over in a config whose base leaves the field out.
        for name in ('distill', 'schedule', 'stop'):
            given = getattr(self, name)
            if isinstance(given, dict) and '_delete_' in given:
                kept = {k: v for k, v in given.items() if k != '_delete_'}
                setattr(self, name, kept)
        # In a config, options can add to a dict but not to a word.
        if self.distill == _FULL:
            self.distill = {_FULL: {}}
        if isinstance(self.distill, dict) and set(self.distill) == {_FULL}:
            self.is_full, self.distill = True, self.distill[_FULL]
            if self.distill == {}:
                self.distill = None

    def check(self) -> None:
        """Refuse wrong fields before data sets and models are built.

        Raises:
            KeyError, TypeError, ValueError: With the path of the field.
        """
        check_name(self.name)
        check_number(f'{_HOOK}.task_weight', self.task_weight, at_least=0)
        check_integer(f'{_HOOK}.every', self.every, at_least=1)
        if self.every > 1 and self.task_weight == 0:
            raise ValueError(
                f'{_HOOK}.every is {self.every} and task_weight 0, so that '
                'the iterations between would teach the student nothing: give '
                'task_weight a number above 0, or leave every out')
        with owned_by(_HOOK):
            FrozenTeacher.check_cfg(self.teacher)
        # A field in part can only be checked together with its default, which
        # depends on the models.
        if isinstance(self.distill, str) or self.in_full('distill') is None:
            _check_entries(self.distill)
        elif not self.starts_alone:
            build_terms(self.distill)
        if self.in_full('schedule') is not None:
            SCHEDULES.build(self.schedule, owner=f'{_HOOK}.schedule')
        if self.in_full('stop') is not None:
            STOP_RULES.build(self.stop, owner=f'{_HOOK}.stop')
        if self.start is not None:
            STARTS.build(self.start, owner=f'{_HOOK}.start')

    @property
    def starts_alone(self) -> bool:
        """Whether the teacher gives its weights, and nothing else."""
        return self.start is not None and self.distill == []

    def of_distilling(self) -> List[str]:
        """The given fields that only a distillation has a use for."""
        return [
            field.name for field in dataclasses.fields(self)
            if field.name in ('schedule', 'stop', 'task_weight', 'every')
            and getattr(self, field.name) != field.default
        ]

    def in_full(self, name: str) -> Any:
        """A field if it was given in full, otherwise None."""
        given = getattr(self, name)
        return None if _is_part(given) else given

    def completed(self, name: str, default: Callable[[], Any]) -> Any:
        """A field in full: what was left out is taken from the default.

        Args:
            name (str): Name of the field.
            default (Callable): Gives the default; not called if the field was
                given in full.

        Raises:
            KeyError, TypeError: If the default has none of the given keys.
        """
        given = getattr(self, name)
        if given is None:
            return default()
        if not _is_part(given):
            return given
        cfg = Config({name: default()})
        # Merging takes `_delete_` out of what it is given, and texts for keys.
        part = copy.deepcopy({str(k): v for k, v in given.items()})
        if name == 'distill':
            _check_places(part, cfg[name], self.is_full)
        with owned_by(_HOOK):
            cfg.merge_from_dict({name: part})
        return cfg.to_dict()[name]


def _is_part(given: Any) -> bool:
    """Whether only some keys, or some entries of a list, are given."""
    return isinstance(given, dict) and bool(given) and 'type' not in given \
        and 'loss' not in given and 'knowledge' not in given


def _check_entries(part: Optional[dict]) -> None:
    """Refuse some entries of a list that are none."""
    if isinstance(part, str) or not all(
            str(place).isdigit() and isinstance(entry, dict)
            for place, entry in (part or {}).items()):
        raise TypeError(
            f'{_HOOK}.distill should be a list of entries, {_FULL!r}, or in '
            'part something like {"0": dict(loss=dict(loss_weight=3.))}, by '
            f'their places in the default, but got {part!r}')


def _check_places(part: Dict[str, Any], default: Sequence[dict],
                  is_full: bool) -> None:
    """Refuse places that the default does not have."""
    beyond = [place for place in part if int(place) >= len(default)]
    if not beyond:
        return
    types = [entry['knowledge']['type'] for entry in default]
    wider = '' if is_full else (
        f', or of a detector distill.{_FULL}.{beyond[0]}, in the list of '
        f'distill={_FULL!r}, which has scores too')
    raise KeyError(f'{_HOOK}.distill.{beyond[0]} is no entry of the default, '
                   f'which has {dict(enumerate(types))}: name one of these'
                   f'{wider}')


class Assembly(NamedTuple):
    """The parts of a distillation.

    Attributes:
        teacher (FrozenTeacher): The teacher.
        distiller (Distiller, optional): Not attached yet. None if nothing is
            distilled.
        stop (StopRule, optional): Not bound yet, unless it was given. None if
            nothing is distilled.
        chosen (dict): All fields but the teacher, with what was left out
            filled in. Empty if nothing is distilled.
        other_classes (OtherClasses, optional): How the classes of teacher
            and student differ, if they do.
        default_stop (dict, optional): From which the stop rule was filled
            in, None if it was given in full.
        deciders (dict): Field -> the stop rules, and the schedules that follow
            the record.
    """
    teacher: FrozenTeacher
    distiller: Optional[Distiller]
    stop: Optional[StopRule]
    chosen: Dict[str, Any]
    other_classes: Optional[class_matching.OtherClasses]
    default_stop: Optional[dict] = None
    deciders: Dict[str, Decider] = {}


def refuse_run(runner: Runner, fields: Fields) -> None:
    """Refuse kinds of runs that do not work, or were never tried.

    Raises:
        ValueError: The message names what works instead.
    """
    strategy = getattr(runner, 'strategy', None)
    # DDP and FSDP descend from it.
    if strategy is not None and not isinstance(strategy, SingleDeviceStrategy):
        raise ValueError(
            'WeakTeacherDistillHook works with SingleDeviceStrategy, '
            'DDPStrategy and FSDPStrategy, but the run has '
            f'{type(strategy).__name__}: use one of those, or leave the '
            'hook out')
    if getattr(runner.optim_wrapper, 'cast_dtype', None) is torch.bfloat16:
        refuse_bfloat16(unwrap_model(runner.model))
    if fields.start is None or runner.iter > 0:
        return
    if runner._load_from:
        raise ValueError(
            f'the run begins with the weights of load_from '
            f'({runner._load_from}), and WeakTeacherDistillHook.start would '
            'put the teacher\'s in their place: leave one of the two out')
    _refuse_models_within(runner.model)
    if type(strategy).__name__ == 'FSDPStrategy':
        raise ValueError(
            'WeakTeacherDistillHook.start changes the student\'s weights, '
            'which FSDPStrategy has cut into pieces: begin with '
            'load_from=<a checkpoint> instead, or use DDPStrategy')


def _refuse_models_within(student: nn.Module) -> None:
    """Refuse to start a student whose trained weights are within others."""
    for module in student.modules():
        if is_kind(module, 'LoRAModel'):
            raise ValueError(
                'the student is tuned by a LoRAModel, which trains adapters '
                'alone, so what WeakTeacherDistillHook.start takes over would '
                'never be trained: leave start out, or write a checkpoint of '
                'the plain model (mmw2s start-from) for the init_cfg of the '
                'model in it')
        if is_kind(module, 'SemiBaseDetector'):
            raise ValueError(
                f'the student is a {type(module).__name__} of two detectors, '
                'and WeakTeacherDistillHook.start is for one: write a '
                'checkpoint of the detector alone (mmw2s start-from), and '
                'begin with model.detector.init_cfg=dict(type="Pretrained", '
                'checkpoint=...)')


def assemble(fields: Fields,
             runner: Runner,
             stop: Optional[StopRule] = None) -> Assembly:
    """Build teacher, entries, schedule and stop rule, and fit them together.

    Args:
        fields (Fields): The fields of the hook.
        runner (Runner): The run, about to train.
        stop (StopRule, optional): The rule of a resumed run, if it has been
            built from the record. Defaults to None.

    Returns:
        Assembly: The parts, with the teacher not scored yet.

    Raises:
        ValueError: If teacher, student and run do not fit.
    """
    student = unwrap_model(runner.model)
    with preserved_rng():
        teacher = FrozenTeacher.from_cfg(fields.teacher, runner.cfg.filename)
        teacher.follow(student)
        match_pipelines(teacher, runner, student.data_preprocessor)
    classes = student_classes(runner, student)
    other_classes = class_matching.other_classes(teacher, classes)
    if teacher.permute:
        check_permuted(runner, fields.starts_alone)
    if fields.starts_alone:
        return Assembly(teacher, None, None, {}, other_classes)

    def usual() -> list:
        entries = default_distill(
            student,
            teacher.model,
            other_classes and other_classes.words,
            full=fields.is_full)
        return entries if teacher.scale == 1 else without_places(entries)

    distill = fields.completed('distill', usual)
    terms = build_terms(distill, group=LoggedScalars(fields.name).group)
    for term in terms:
        term.knowledge.match_classes(teacher, classes)
        if isinstance(term.loss, nn.Module):  # it may have weights of classes
            term.loss.to(teacher.device)
    schedule = fields.completed('schedule',
                                lambda: default_schedule(student, terms))
    distiller = Distiller(student, teacher, terms,
                          SCHEDULES.build(schedule, owner=f'{_HOOK}.schedule'),
                          fields.task_weight, fields.every)
    distiller.inspects = True
    same_names = class_matching.check_classes(
        teacher, classes, any(t.knowledge.by_class for t in terms))
    why_not = why_incomparable(student, teacher.model, same_names)
    default = None if fields.in_full('stop') else default_stop(
        runner.val_loop is not None, runner.max_iters, why_not is None and
        (runner.val_loop is not None or
         (teacher.scale == 1 and not teacher.permute)), student)
    stop_cfg = fields.completed('stop', lambda: default)
    stop = stop or STOP_RULES.build(stop_cfg, owner=f'{_HOOK}.stop')
    deciders = _deciders(stop, distiller)
    for field, decider in deciders.items():
        _refuse_decider(field, decider, runner, why_not, teacher)
    check_validation(runner, classes,
                     any(d.needs_validation for d in deciders.values()))
    distiller.bind(runner.max_iters, iters_per_epoch(runner),
                   iters_per_update(runner))
    return Assembly(
        teacher, distiller, stop,
        dict(
            distill=list(distill),
            schedule=schedule,
            stop=stop_cfg,
            task_weight=fields.task_weight,
            start=fields.start,
            every=fields.every), other_classes, default, deciders)


def _deciders(stop: StopRule, distiller: Distiller) -> Dict[str, Decider]:
    """By field, what decides on validations, training losses or steps."""
    given: Dict[str, Optional[Decider]] = dict(
        stop=stop, schedule=distiller.schedule)
    for i, term in enumerate(distiller.terms):
        given[f'distill[{i}].stop'] = term.stop
        given[f'distill[{i}].schedule'] = term.schedule
    return {
        field: decider
        for field, decider in given.items() if decider is not None and (
            not isinstance(decider, Schedule) or decider.follows_rows)
    }


def _refuse_decider(field: str, stop: Decider, runner: Runner,
                    why_not: Optional[str], teacher: FrozenTeacher) -> None:
    """Refuse a rule if the run does not give what it decides on."""
    name = type(stop).__name__
    if isinstance(stop, StopOnConflict) and is_fsdp(
            unwrap_model(runner.model)):
        raise ValueError(
            f'{field}={name} needs a second backward of a step, which '
            'FSDPStrategy would take for the step\'s own: use DDPStrategy, or '
            'another stop rule')
    if stop.needs_validation and runner.val_loop is None:
        raise ValueError(
            f'{field}={name} decides on validations, but the run has none: '
            'configure val_dataloader, val_cfg and val_evaluator, or use '
            'stop=dict(type="SurpassOnTrain")')
    shown = f'scale={teacher.scale:g} shows the teacher smaller' if \
        teacher.scale != 1 else 'permute=True shows the teacher other' if \
        teacher.permute else ''
    if shown and stop.train_loss_interval is not None:
        raise ValueError(
            f'{field}={name} compares training losses on the same images, but '
            f'teacher.{shown} ones: use stop=dict(type="SurpassTeacher") or '
            'stop=dict(type="At", ...)')
    if why_not and (stop.needs_teacher_score
                    or stop.train_loss_interval is not None):
        raise ValueError(
            f'{field}={name} compares the student with its teacher on the '
            f'run\'s data, but the teacher {why_not}: use '
            'stop=dict(type="At", ...), or a SurpassTeacher with a number '
            'as its teacher_score')
