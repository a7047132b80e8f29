# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The arms of a study: what each changes in the config, and why it is there.
"""
import copy
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from mmengine.config import Config

from mmw2s.engine.distill_config import hook_in
from mmw2s.engine.launch import DISTILL_HOOK, remove_distillation
from mmw2s.pair.derive.schedule import counts_epochs, run_length
from mmw2s.utils.hook_configs import hook_configs

__all__ = ['ARMS', 'BASELINE', 'TEACHER', 'UNTRAINED', 'Arm', 'shares_in']

BASELINE = 'baseline'
#: Names of teachers: the study's own, and one of random weights.
TEACHER, UNTRAINED = 'teacher', 'untrained'
#: Shares of the baselines' best, in percent, of further teachers.
SHARES = (60, 80, 90, 100)
# Part of the run after which the arm "fixed_epoch" stops, and that after which
# a distillation ends at the latest by default.
_FIXED, _LATEST = 0.25, 0.5
# Schedulers that raise a learning rate at the beginning.
_WARM_UPS = ('LinearLR', 'ConstantLR')

# A change of a student's config, in place.
Change = Callable[[Config, Any], None]


class Arm(NamedTuple):
    """An arm.

    Attributes:
        why (str): What it separates from what, in a sentence.
        teacher (str, optional): Name of its teacher: ``'teacher'``,
            ``'untrained'`` or, of a share of the best, ``'teacher_60'``. None
            for an arm without one.
        changes (list[Callable]): What is done to the student's config, which
            has the hook if there is a teacher. Each is given the config, to
            be changed in place, and the study.
    """
    why: str
    teacher: Optional[str]
    changes: List[Change]

    @property
    def starts(self) -> bool:
        """Whether the student begins with the teacher's weights."""
        return _with_start in self.changes

    @property
    def distills(self) -> bool:
        """Whether there are losses of a teacher."""
        return self.teacher is not None and _without_losses not in self.changes

    def make(self, student: Config, study: Any) -> Config:
        """The config of this arm.

        Args:
            student (Config): That of the student; it is not changed.
            study (Study): The study, its ``start`` a dict.

        Raises:
            ValueError: If the arm is not possible for this student.
        """
        cfg = copy.deepcopy(student)
        if self.teacher is None and hook_configs(cfg, DISTILL_HOOK):
            remove_distillation(cfg)
        for change in self.changes:
            change(cfg, study)
        return cfg


def _without_start(cfg: Config, study: Any) -> None:
    hook_in(cfg).pop('start', None)


def _with_start(cfg: Config, study: Any) -> None:
    hook_in(cfg)['start'] = study.start
    if study.warm_up < 1:
        _cut_warm_up(cfg, study)


def _without_losses(cfg: Config, study: Any) -> None:
    hook_in(cfg)['distill'] = []


def _at(cfg: Config, share: float) -> Dict[str, Any]:
    """The stop rule at a share of the run."""
    length = share * run_length(cfg)
    return dict(type='At', epoch=length) if counts_epochs(cfg) else \
        dict(type='At', iter=round(length))


def _never_stop(cfg: Config, study: Any) -> None:
    hook_in(cfg).update(
        schedule=dict(type='Constant', value=1.), stop=_at(cfg, 1.))


def _stop_early(cfg: Config, study: Any) -> None:
    hook_in(cfg)['stop'] = _at(cfg, _FIXED)


def _stop_unscored(cfg: Config, study: Any) -> None:
    # A teacher that detects nothing has no score to surpass.
    hook_in(cfg)['stop'] = _at(cfg, _LATEST)


def _permute(cfg: Config, study: Any) -> None:
    hook_in(cfg).teacher['permute'] = True


def _smooth_labels(cfg: Config, study: Any) -> None:
    loss = (cfg.model.get('head') or {}).get('loss') or {}
    if loss.get('type') != 'CrossEntropyLoss' or loss.get('use_sigmoid'):
        raise ValueError(
            'the arm "label_smoothing" is for classifiers whose head.loss is '
            f'a CrossEntropyLoss with softmax, but the {cfg.model.type} has '
            f'{loss.get("type", "none")} there: leave the arm out, or make '
            'one of your own with cfg_options')
    kept = {k: v for k, v in loss.items() if k == 'loss_weight'}
    cfg.model.head.loss = dict(
        type='LabelSmoothLoss', label_smooth_val=0.1, mode='original', **kept)


def _cut_own_warm_up(cfg: Config, study: Any) -> None:
    if study.warm_up == 1:
        raise ValueError(
            'the arm "warm_up_cut" has the warm-up of the started arms, but '
            'these keep all of theirs: give the study warm_up=0.25, or leave '
            'the arm out')
    _cut_warm_up(cfg, study)


def _cut_warm_up(cfg: Config, study: Any) -> None:
    schedulers = cfg.get('param_scheduler') or []
    schedulers = [schedulers] if isinstance(schedulers, dict) else schedulers
    warm_ups = [
        one for one in schedulers
        if one['type'] in _WARM_UPS and not one.get('begin') and one.get('end')
    ]
    if not warm_ups:
        raise ValueError(
            'warm_up cuts the warm-up of the learning rate, but the '
            'student\'s config has none (a LinearLR or ConstantLR from 0 to '
            'its "end" in param_scheduler): leave warm_up out')
    for one in warm_ups:
        end = max(1, round(study.warm_up * one['end']))
        for other in schedulers:
            if other.get('begin') == one['end']:  # it follows the warm-up
                other['begin'] = end
        one['end'] = end


_PLAIN = [_without_start]

#: Name -> built-in arm.
ARMS: Dict[str, Arm] = {
    BASELINE:
    Arm('the student alone', None, []),
    'start':
    Arm(
        'what the weights that it begins with give, without any teacher in '
        'training', TEACHER, [_with_start, _without_losses]),
    'distillation':
    Arm('what the losses give, without the teacher\'s weights', TEACHER,
        _PLAIN),
    'both':
    Arm('start and distillation together', TEACHER, [_with_start]),
    'permuted_teacher':
    Arm(
        'an early extra loss of the same form, size and cost, without its '
        'signal: the teacher is shown other images', TEACHER,
        [*_PLAIN, _permute]),
    'untrained_teacher':
    Arm('the same with a teacher that has learned nothing', UNTRAINED,
        [*_PLAIN, _stop_unscored]),
    'untrained_start':
    Arm(
        'the same start from a teacher that has learned nothing: what the '
        'start changes by itself', UNTRAINED, [_with_start, _without_losses]),
    'always_on':
    Arm('what the end of the distillation gives: it lasts for the whole run',
        TEACHER, [*_PLAIN, _never_stop]),
    'fixed_epoch':
    Arm(
        'what the stop rule gives: it ends after a quarter of the run, '
        'whatever the scores', TEACHER, [*_PLAIN, _stop_early]),
    'label_smoothing':
    Arm('soft labels, without a teacher', None, [_smooth_labels]),
    'warm_up_cut':
    Arm('the shorter warm-up of the started arms, without a teacher', None,
        [_cut_own_warm_up]),
    **{
        f'teacher_{share}':
        Arm(
            f'how good a teacher has to be: one of {share} % of the '
            'baselines\' best', f'teacher_{share}', _PLAIN)
        for share in SHARES
    }
}


def shares_in(teacher: str) -> Optional[float]:
    """The share of the best that a teacher's name tells, if it does."""
    prefix, _, percent = teacher.rpartition('_')
    return int(percent) / 100 if prefix == TEACHER else None
