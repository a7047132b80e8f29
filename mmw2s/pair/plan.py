# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a pair is to do: decided once, and kept in its folder."""
import copy
import json
import os
import os.path as osp
from dataclasses import asdict, dataclass, field
from typing import Dict, List, Optional, Sequence

from mmengine.config import Config

from mmw2s.engine.distill_config import hook_in
from mmw2s.engine.launch import load_config
from mmw2s.utils.files import atomic_write
from mmw2s.utils.flat import differences, flat
from mmw2s.utils.text import listed
from .derive.schedule import counts_epochs, run_length, scale_lr, shorten
from .options import Options
from .stages import Stage
from .starting import give_start, teacher_and_start
from .teacher import record_times

__all__ = ['Plan', 'is_planned', 'make_plan', 'prepare']

_PLAN = 'plan.json'
# Names of configs: the student's, and that of its baseline, if another.
_STUDENT, _FULL = 'student', 'baseline'
# Options by which runs are judged: they may be put right until a teacher was
# chosen by them.
_JUDGES = ('baseline', 'best', 'metric', 'rule')
_SHOWN = 5  # differences that a message lists


@dataclass
class Plan:
    """A pair, as it was decided.

    Args:
        options (Options): What was asked for.
        trains_teacher (bool): Whether the teacher is trained, or exists.
        notes (list[str]): What was decided, in sentences.
        configs (dict[str, Config]): 'teacher' and 'student', and 'baseline'
            where the student's run is another. Empty if the plan was read
            from its folder.
    """
    options: Options
    trains_teacher: bool
    notes: List[str]
    configs: Dict[str, Config] = field(default_factory=dict)

    def path(self, *names: str) -> str:
        """An absolute path in the folder of the pair."""
        return osp.join(osp.abspath(self.options.work_dir), *names)

    @property
    def starts_by_config(self) -> bool:
        """Whether the student's config has the start, and not the pair."""
        cfg = load_config(self.options.student, self.options.cfg_options)
        return bool(hook_in(cfg).get('start'))

    @property
    def weights(self) -> str:
        """The teacher's checkpoint, if it is trained."""
        return self.path('teacher.pth')

    @property
    def teacher(self) -> Optional[Stage]:
        """The training of the teacher; None if it exists already."""
        return Stage('teacher', self.path('teacher.py'),
                     self.path('teacher')) if self.trains_teacher else None

    @property
    def students(self) -> List[Stage]:
        """The trainings of the students, one a seed."""
        return [self._of_seed(seed) for seed in self.options.seeds]

    @property
    def own_baselines(self) -> List[Stage]:
        """The trainings of the baselines, if they belong to the pair."""
        if not self.options.with_baseline:
            return []
        # The name is that at which a started student looks for its baseline.
        # A plan that was read from its folder has its configs there.
        is_other = _FULL in self.configs if self.configs else osp.isfile(
            self.path(f'{_FULL}.py'))
        config = _FULL if is_other else _STUDENT
        return [
            self._of_seed(seed, '_baseline', '--no-distill', config=config)
            for seed in self.options.seeds
        ]

    @property
    def stages(self) -> List[Stage]:
        """All trainings in their order.

        The baselines come first: their best tells when the teacher is useful.
        """
        teacher = [self.teacher] if self.teacher else []
        return [*self.own_baselines, *teacher, *self.students]

    @property
    def baselines(self) -> List[str]:
        """Work_dirs of the baselines, of the pair or recorded before."""
        return [stage.work_dir
                for stage in self.own_baselines] or list(self.options.baseline)

    def _of_seed(self,
                 seed: int,
                 suffix: str = '',
                 *options: str,
                 config: str = _STUDENT) -> Stage:
        name = f'student_s{seed}{suffix}'
        return Stage(name, self.path(f'{config}.py'), self.path(name), seed,
                     options)


def make_plan(options: Options) -> Plan:
    """Decide what a pair is to do. Nothing is written.

    Args:
        options (Options): What was asked for.

    Raises:
        FileNotFoundError: If a file that was named does not exist.
        ValueError: If something does not fit.
    """
    options.check()
    student = load_config(options.student, options.cfg_options)
    _refuse_unvalidated(student)
    made, start, note = teacher_and_start(options, student)
    plan = Plan(options, made.is_trained, list(made.notes))
    hook = hook_in(student)
    said, rate = give_start(student, options, start, note)
    plan.notes += said
    own = dict(config=plan.path('teacher.py'), checkpoint=plan.weights)
    hook['teacher'] = {**own, **made.fields}
    if options.teacher_scale != 1:
        hook['teacher']['scale'] = options.teacher_scale
    record_times(student)
    plan.configs = dict(teacher=made.cfg, student=student)
    if (options.student_length, rate) != (1, 1) and options.with_baseline:
        plan.configs[_FULL] = copy.deepcopy(student)
    if options.student_length != 1:
        plan.notes.append(_shortened(student, options.student_length))
    if rate != 1:
        plan.notes.append(_at_rate(student, rate, options.student_lr is None))
    return plan


def _shortened(student: Config, part: float) -> str:
    whole = run_length(student)
    shorten(student, part)
    length = run_length(student)
    unit = 'epochs' if counts_epochs(student) else 'iterations'
    if length == whole:
        raise ValueError(
            f'--student-length {part:g} of {whole} {unit} leaves {length}: '
            'give a smaller part, or leave it out')
    return f'The student is trained for {length} of its {whole} {unit}.'


def _at_rate(student: Config, rate: float, is_chosen: bool) -> str:
    try:
        scale_lr(student, rate)
    except ValueError as error:
        if is_chosen:
            return ('The student grows and is taught, for which a lower '
                    f'learning rate is better, but {error}.')
        raise ValueError(f'--student-lr {rate:g}: {error}') from error
    why = ': it grows and is taught (else: --student-lr 1)' if is_chosen \
        else ''
    return f'The student\'s learning rate is multiplied by {rate:g}{why}.'


def _refuse_unvalidated(student: Config) -> None:
    """The budget is that of validations: without any, refuse before all."""
    missing = [
        key for key in ('val_dataloader', 'val_evaluator')
        if not student.get(key)
    ]
    if missing:
        raise ValueError(
            f'the student\'s config has no {", ".join(missing)}, so nothing '
            'would tell what the pair has reached: give it a validation, or '
            'train the student alone (tools/train.py)')


def is_planned(options: Options) -> bool:
    """Whether the folder of a pair has its plan already."""
    return osp.isfile(osp.join(options.work_dir, _PLAN))


def prepare(options: Options) -> Plan:
    """The plan in a folder; where there is none, it is made and kept.

    Args:
        options (Options): What was asked for.

    Raises:
        ValueError: If the folder has the plan of another command, or of a
            config that was changed since. The message says what differs.
    """
    options.check()
    path = osp.join(options.work_dir, _PLAN)
    asked = _asked(options)
    if is_planned(options):
        with open(path, encoding='utf-8') as file:
            stored = json.load(file)
        plan = Plan(options, stored['trains_teacher'], stored['notes'])
        _refuse_changed(stored['asked'], asked, options.work_dir,
                        () if osp.isfile(f'{plan.weights}.json') else _JUDGES)
        if stored['asked'] != asked:
            with atomic_write(path) as file:
                json.dump(dict(stored, asked=asked), file, indent=1)
        return plan
    plan = make_plan(options)
    os.makedirs(options.work_dir, exist_ok=True)
    if _FULL not in plan.configs and osp.isfile(plan.path(f'{_FULL}.py')):
        os.remove(plan.path(f'{_FULL}.py'))  # of a plan that was cut short
    for name, cfg in plan.configs.items():
        cfg.dump(plan.path(f'{name}.py'))
    # Last of all: where it lies, the configs are whole.
    with atomic_write(path) as file:
        json.dump(
            dict(
                asked=asked,
                trains_teacher=plan.trains_teacher,
                notes=plan.notes),
            file,
            indent=1)
    return plan


def _options_of(options: Options) -> Dict[str, str]:
    return flat('option', {
        key: value
        for key, value in asdict(options).items() if key != 'work_dir'
    })


def _asked(options: Options) -> Dict[str, str]:
    """All that decides over the runs, by dotted name, for comparison."""
    found = _options_of(options)
    student = load_config(options.student, options.cfg_options)
    found.update(flat('student', student.to_dict()))
    own = hook_in(student).get('teacher') or {}
    teacher = options.teacher or own.get('config')
    if isinstance(teacher, str) and osp.isfile(teacher):
        found.update(flat('teacher', load_config(teacher).to_dict()))
    return found


def _refuse_changed(stored: Dict[str, str], asked: Dict[str, str], folder: str,
                    free: Sequence[str]) -> None:
    # An option that is newer than the folder had its default.
    known = {key.split('.')[1] for key in stored if key.startswith('option.')}
    newer = {
        key: value
        for key, value in _options_of(Options('', '')).items()
        if key.split('.')[1] not in known
    }
    left_out = [f'option.{name}' for name in free]
    if not any(key.startswith('teacher.') for key in stored):
        left_out.append('teacher.')  # older folders keep none of the hook
    changes = [
        change for change in differences({
            **newer,
            **stored
        }, asked) if not change.startswith(tuple(left_out))
    ]
    if changes:
        raise ValueError(
            f'{folder} has a pair of another command or config: '
            f'{listed(changes, _SHOWN)}. Go on with what it was, give another '
            '--work-dir, or move the folder away')
