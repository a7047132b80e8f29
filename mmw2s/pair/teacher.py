# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The teacher of a pair: which one, and how it is trained."""
import os.path as osp
from typing import Any, Dict, List, NamedTuple, Optional

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmw2s.distillation.label_names import Names, declared_names
from mmw2s.distillation.teacher_config import (build_model, found_beside,
                                               load_config)
from mmw2s.distillation.teacher_fields import teacher_fields
from mmw2s.engine.launch import (DISTILL_HOOK, check_checkpoint,
                                 remove_distillation)
from mmw2s.records.operating_band import LOW
from mmw2s.utils.hook_configs import hook_configs
from .derive.images import scale_images
from .derive.model import derive_model
from .derive.schedule import counts_epochs, shorten, val_interval

__all__ = [
    'TeacherPlan', 'classes_of', 'keep_checkpoints', 'plan_teacher',
    'record_times', 'to_be_trained', 'untrained'
]

#: ``--teacher`` for a teacher that is derived though the student names one.
DERIVE = 'derive'
#: Part of the student's run that a derived teacher is trained for at most.
LENGTH = 0.5


class TeacherPlan(NamedTuple):
    """Which teacher a pair has.

    Attributes:
        cfg (Config): Its config; that of its training, if it is trained.
        is_trained (bool): Whether it has to be trained.
        fields (dict): The hook's field ``teacher``, without what lies in the
            folder of the pair: the ``checkpoint`` of one that is trained, the
            ``config`` of one that is trained or derived.
        notes (list[str]): What was decided, in sentences.
        has_narrow_heads (bool): Whether its neck and heads are narrower than
            the student's, so that only a student that grows can start from it.
    """
    cfg: Config
    is_trained: bool
    fields: Dict[str, Any]
    notes: List[str]
    has_narrow_heads: bool = False


def plan_teacher(student: Config,
                 config: Optional[str] = None,
                 checkpoint: Optional[str] = None,
                 cfg_options: Optional[dict] = None,
                 width: Optional[float] = None,
                 scale: float = 1.,
                 length: Optional[float] = None,
                 share: float = LOW,
                 narrow_heads: bool = False) -> TeacherPlan:
    """Find the teacher of a student, or derive one from it.

    Args:
        student (Config): The student's config; it is not changed.
        config (str, optional): Config of the teacher, or ``'derive'``.
            Defaults to None: that in the student's hook, and derived if there
            is none.
        checkpoint (str, optional): Its weights, so that it is not trained.
            Defaults to None: those in the student's hook, if the config is
            from there and they exist.
        cfg_options (dict, optional): Overrides of a teacher's config.
        width (float, optional): See :func:`~.derive.model.derive_model`.
        scale (float): Part of the images' size that it is trained at.
            Defaults to 1.
        length (float, optional): Part of the schedule that it is trained for.
            Defaults to None: of the student's 0.5, of its own the whole.
        share (float): Share of the student's best at which its training ends.
            Defaults to 0.85.
        narrow_heads (bool): See :func:`~.derive.model.derive_model`. Defaults
            to False.

    Raises:
        FileNotFoundError: If there is no such config or checkpoint.
        ValueError: If it cannot be derived, or cannot be trained.
    """
    own = dict(config=config) if config else _named_by(student)
    if 'module' in own:
        raise ValueError(
            'the student\'s hook names a teacher.module, which is trained '
            'elsewhere: train the student alone (tools/train.py), or name '
            f'another teacher, --teacher FILE or --teacher {DERIVE}')
    if own.get('config', DERIVE) == DERIVE:
        made = derive_model(student, width, narrow_heads)
        cfg, fields, length = made.cfg, {}, length or LENGTH
        is_narrow = made.has_narrow_heads
        notes = [
            f'Teacher: derived, {made.size} (student: {made.of_student}).',
            *made.notes
        ]
    else:
        fields = _with_paths(own, student.filename, checkpoint)
        cfg, is_narrow = load_config(fields['config']), False
        notes = [f'Teacher: {_name(fields["config"])}.']
    options = {**(fields.get('cfg_options') or {}), **(cfg_options or {})}
    if options:
        cfg.merge_from_dict(options)
    if checkpoint is not None:
        check_checkpoint(checkpoint)
        fields['checkpoint'] = checkpoint if '://' in checkpoint \
            else osp.abspath(checkpoint)
    if fields.get('checkpoint') is not None:
        notes.append(f'It is not trained: {fields["checkpoint"]} has its '
                     'weights.')
        if options:
            fields['cfg_options'] = options
        return TeacherPlan(cfg, False, fields, notes)
    if scale != 1:
        scale_images(cfg, scale)
    if length is not None:
        shorten(cfg, length)
    # Its weights, and so its score, are new; the options are in its config.
    new = ('config', 'checkpoint', 'cfg_options', 'score')
    kept = {k: v for k, v in fields.items() if k not in new}
    return TeacherPlan(to_be_trained(cfg, share), True, kept, notes, is_narrow)


def untrained(cfg: Config, folder: str) -> Dict[str, Any]:
    """The hook's field ``teacher`` for a teacher of random weights.

    It is for trials before the training: what fits does not depend on them.
    The classes are those that its training will save.

    Args:
        cfg (Config): The teacher's config.
        folder (str): Where the weights are saved.
    """
    path = osp.join(folder, 'untrained.pth')
    saved: Dict[str, Any] = dict(state_dict=build_model(cfg).state_dict())
    classes = classes_of(cfg)
    if classes:
        saved['meta'] = dict(dataset_meta=dict(classes=classes))
    torch.save(saved, path)
    return dict(config=cfg.to_dict(), checkpoint=path)


def classes_of(cfg: Config) -> Names:
    """The classes of the training set that a config declares, if known."""
    loader = cfg.get('train_dataloader') or {}
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return declared_names(loader.get('dataset'))


def _name(config: Any) -> str:
    return config if isinstance(config, str) else \
        f'the {config["model"]["type"]} in the student\'s hook'


def _named_by(student: Config) -> Dict[str, Any]:
    """The fields of the teacher in the student's hook; empty without one."""
    hooks = hook_configs(student, DISTILL_HOOK)
    teacher = hooks[0].get('teacher') if hooks else None
    return {} if teacher is None else teacher_fields(teacher)


def _with_paths(fields: Dict[str, Any], file: Optional[str],
                checkpoint: Optional[str]) -> Dict[str, Any]:
    """The fields with paths that hold in every folder.

    A checkpoint that the student's hook names need not exist: the teacher is
    trained then.
    """
    fields = dict(fields)
    own = fields.pop('checkpoint', None)
    fields = found_beside(fields, file)
    if own is not None and checkpoint is None:
        try:
            fields = found_beside(dict(fields, checkpoint=own), file)
        except FileNotFoundError:
            pass
    for key in ('config', 'checkpoint'):
        if isinstance(fields.get(key), str) and osp.isfile(fields[key]):
            fields[key] = osp.abspath(fields[key])
    return fields


def to_be_trained(cfg: Config, share: float) -> Config:
    """Let a config train a teacher: until it is useful, each step kept.

    Args:
        cfg (Config): The config; it is changed.
        share (float): See
            :class:`~mmw2s.engine.hooks.StopWhenUsefulHook`.

    Raises:
        ValueError: If it has no training or no validation.
    """
    missing = [
        key for key in ('train_dataloader', 'val_dataloader', 'val_evaluator',
                        'train_cfg', 'optim_wrapper') if not cfg.get(key)
    ]
    if missing:
        raise ValueError(
            f'the teacher\'s config has no {", ".join(missing)}, so it cannot '
            'be trained: give --teacher a whole config, or weights, '
            '--teacher-checkpoint FILE')
    if hook_configs(cfg, DISTILL_HOOK):
        remove_distillation(cfg)
    record_times(cfg)
    for hook in hook_configs(cfg, 'TimeToTargetHook'):
        hook.update(targets=None, stop_at_target=False)
    hooks = cfg.default_hooks
    hooks['stop_when_useful'] = dict(
        type='mmw2s.StopWhenUsefulHook', share=share)
    keep_checkpoints(cfg)
    cfg.randomness = dict(cfg.get('randomness') or {})
    cfg.randomness.setdefault('seed', 0)
    return cfg


def keep_checkpoints(cfg: Config, most: int = -1) -> None:
    """Let a run save a checkpoint with each of its validations, in place.

    Args:
        cfg (Config): The config of a run.
        most (int): How many are kept. Defaults to -1: all.
    """
    checkpoint = dict(
        cfg.default_hooks.get('checkpoint') or {}, type='CheckpointHook')
    # Each validation's is looked for in the work_dir, by its usual name.
    for name in ('save_best', 'out_dir', 'filename_tmpl', 'save_begin'):
        checkpoint.pop(name, None)
    checkpoint.update(
        by_epoch=counts_epochs(cfg),
        interval=val_interval(cfg),
        max_keep_ckpts=most)
    cfg.default_hooks['checkpoint'] = checkpoint


def record_times(cfg: Config) -> None:
    """Add a ``TimeToTargetHook`` to a config that has none, in place."""
    if not cfg.get('default_hooks'):
        cfg.default_hooks = {}
    if not hook_configs(cfg, 'TimeToTargetHook'):
        cfg.default_hooks['time_to_target'] = dict(
            type='mmw2s.TimeToTargetHook')
