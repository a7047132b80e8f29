# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The runs of a study, with their configs."""
import json
import os.path as osp
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional

from mmengine.config import Config

from mmw2s.analysis.run import Run
from mmw2s.engine.distill_config import hook_in
from mmw2s.engine.launch import load_config
from mmw2s.pair.stages import Stage
from mmw2s.pair.starting import AUTO, choose_start
from mmw2s.pair.teacher import keep_checkpoints, plan_teacher, record_times
from mmw2s.records.operating_band import LOW
from .arms import ARMS, BASELINE, TEACHER, shares_in
from .study_file import Study

__all__ = ['Plan', 'make_plan']

#: Folder of the arms' configs, and that of the teachers.
CONFIGS, TEACHERS = 'configs', 'teachers'
# All that was overridden is in the config that the study keeps.
_OF_A_FILE = ('config', 'checkpoint', 'cfg_options')


@dataclass
class Plan:
    """A study, and how it is carried out.

    Args:
        study (Study): What was asked for, its ``start`` decided.
        work_dir (str): Folder of the study.
        trains_teacher (bool): Whether the teacher is trained, or exists.
        notes (list[str]): What was decided, in sentences.
        checkpoint (str, optional): Weights of a teacher that exists.
        configs (dict[str, Config]): Name of an arm -> its config, and
            ``'student'`` and ``'teacher'``.
    """
    study: Study
    work_dir: str
    trains_teacher: bool
    notes: List[str]
    checkpoint: Optional[str] = None
    configs: Dict[str, Config] = field(default_factory=dict)

    def path(self, *names: str) -> str:
        """An absolute path in the folder of the study."""
        return osp.join(osp.abspath(self.work_dir), *names)

    def config_path(self, name: str) -> str:
        """Where a config of the plan is kept."""
        return self.path(CONFIGS, f'{name}.py')

    def teacher_path(self, name: str, suffix: str) -> str:
        """Where config (``'py'``), weights (``'pth'``) and choice
        (``'pth.json'``) of a teacher are kept."""
        return self.path(TEACHERS, f'{name}.{suffix}')

    @property
    def arms(self) -> List[str]:
        """Names of the arms, in their order."""
        return list(self.study.arms)

    def teacher_of(self, arm: str) -> Optional[str]:
        """Name of the teacher of an arm; None if it has none."""
        return ARMS[self.study.like(arm)].teacher

    def runs(self, arm: str) -> Dict[int, Stage]:
        """Seed -> run of an arm."""
        return {
            seed:
            Stage(f'{arm}_s{seed}', self.config_path(arm),
                  self.path(arm, f'seed_{seed}'), seed)
            for seed in self.study.seeds_of(arm)
        }

    def kept_choice(self, name: str) -> Optional[Dict[str, Any]]:
        """What was chosen as a teacher; None if nothing was yet."""
        path = self.teacher_path(name, 'pth.json')
        if not osp.isfile(path):
            return None
        with open(path, encoding='utf-8') as file:
            return json.load(file)

    @property
    def teacher_run(self) -> Optional[Stage]:
        """The training of the teacher; None if it exists already."""
        return Stage(TEACHER, self.config_path(TEACHER),
                     self.path('teacher_training')) \
            if self.trains_teacher else None

    @property
    def stops_when_useful(self) -> bool:
        """Whether the teacher's training ends where it is good enough."""
        return 'stop_when_useful' in self.configs[TEACHER].default_hooks


def make_plan(study: Study, work_dir: str) -> Plan:
    """Decide on all runs of a study. Nothing is written.

    Args:
        study (Study): What is asked for.
        work_dir (str): Folder of the study.

    Raises:
        FileNotFoundError: If a file that was named does not exist.
        ValueError: If something does not fit.
    """
    student = load_config(study.student, study.cfg_options)
    record_times(student)
    given = study.teacher
    useful_at = given.get('useful_at')
    made = plan_teacher(
        student,
        given['config'],
        given.get('checkpoint'),
        given.get('cfg_options'),
        share=useful_at or LOW)
    checkpoint = made.fields.get('checkpoint')
    if checkpoint is not None and not osp.isfile(checkpoint):
        raise ValueError(
            'teacher.checkpoint should be a file, which the study copies, but '
            f'got {checkpoint!r}: download it first')
    plan = Plan(study, work_dir, made.is_trained, list(made.notes), checkpoint)
    if given.get('run') is not None and \
            (plan.kept_choice(TEACHER) or {}).get('run') != given['run']:
        Run.load(given['run'])  # what cannot be counted is told at once
    teachers = {plan.teacher_of(arm) for arm in plan.arms} - {None}
    if made.is_trained and (useful_at is None
                            or any(shares_in(name) for name in teachers)):
        # The last checkpoint, or those of several shares are needed.
        made.cfg.default_hooks.pop('stop_when_useful')
    if any(ARMS[study.like(arm)].starts for arm in plan.arms):
        start, note = _start(study, student, made.cfg)
        plan.study = replace(study, start=start)
        plan.notes.append(note)
    for arm in plan.arms:
        plan.configs[arm] = _config(plan, arm, student, made.fields)
    if any(shares_in(name) for name in teachers):
        for arm in plan.arms:
            # All save as often, for their clocks; one of them keeps all.
            keep_checkpoints(plan.configs[arm], -1 if arm == BASELINE else 1)
    plan.configs.update(student=student, teacher=made.cfg)
    return plan


def _start(study: Study, student: Config, teacher: Config):
    """The start of the arms that have one, and a sentence."""
    kept = hook_in(_copy(student)).get('start')
    wanted = kept if study.start == AUTO and kept else study.start
    start, note = choose_start(wanted, student, teacher)
    if start is None:
        raise ValueError(f'an arm begins with weights of the teacher, but '
                         f'{note[0].lower()}{note[1:]}')
    return start, note


def _config(plan: Plan, arm: str, student: Config, fields: dict) -> Config:
    """The config of an arm."""
    study, cfg = plan.study, _copy(student)
    name = plan.teacher_of(arm)
    if name is not None:
        own = dict(
            config=plan.teacher_path(name, 'py'),
            checkpoint=plan.teacher_path(name, 'pth'))
        hook_in(cfg)['teacher'] = {
            **{
                k: v
                for k, v in fields.items() if k not in _OF_A_FILE
            },
            **study.hook_teacher,
            **own
        }
    options = study.arms[arm].get('cfg_options', {})
    # Twice: a stop at a share of the run needs its length, and what an arm
    # says itself is the last word.
    cfg.merge_from_dict({
        key: value
        for key, value in options.items()
        if not key.startswith('default_hooks.')
    })
    cfg = ARMS[study.like(arm)].make(cfg, study)
    cfg.merge_from_dict(options)
    return cfg


def _copy(cfg: Config) -> Config:
    return Config(cfg.to_dict(), filename=cfg.filename)
