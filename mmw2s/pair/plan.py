# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a pair is to do: decided once, and kept in its folder."""
import copy
import json
import os
import os.path as osp
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from mmengine.config import Config

from mmw2s.engine.distill_config import hook_in
from mmw2s.engine.launch import load_config
from mmw2s.records.operating_band import LOW
from mmw2s.utils.fields import check_choice, check_number, check_seed
from mmw2s.utils.files import atomic_write
from mmw2s.utils.flat import differences, flat
from mmw2s.utils.kinds import bare_name
from mmw2s.utils.text import listed
from .derive.schedule import counts_epochs, run_length, scale_lr, shorten
from .stages import Stage
from .starting import AUTO, choose_start, teach_too
from .teacher import TeacherPlan, plan_teacher, record_times

__all__ = [
    'STARTS', 'TEACHES', 'Options', 'Plan', 'is_planned', 'make_plan',
    'prepare'
]

STARTS = (AUTO, 'Inherit', 'Grow', 'Corner', 'none')
TEACHES = (AUTO, 'yes', 'no')
_PLAN = 'plan.json'
# Names of configs: the student's, and that of its baseline, if another.
_STUDENT, _FULL = 'student', 'baseline'
_SHOWN = 5  # differences that a message lists


@dataclass
class Options:
    """What a user asks for; the command ``mmw2s pair --help`` tells each."""
    student: str
    work_dir: str
    teacher: Optional[str] = None
    teacher_checkpoint: Optional[str] = None
    teacher_width: Optional[float] = None
    teacher_scale: float = 1.
    teacher_length: Optional[float] = None
    teacher_cfg_options: Dict[str, Any] = field(default_factory=dict)
    useful_at: float = LOW
    best: Optional[float] = None
    start: str = AUTO
    teach: str = AUTO
    student_length: float = 1.
    student_lr: float = 1.
    seeds: Sequence[int] = (0, )
    with_baseline: bool = False
    baseline: Sequence[str] = ()
    metric: Optional[str] = None
    rule: Optional[str] = None
    cfg_options: Dict[str, Any] = field(default_factory=dict)
    gpus: int = 1

    def check(self) -> None:
        """Refuse values that are always wrong.

        Raises:
            ValueError: If a value is. The message names the option.
        """
        for name in ('teacher_width', 'teacher_scale', 'teacher_length',
                     'student_length'):
            if getattr(self, name) is not None:
                check_number(
                    f'--{name.replace("_", "-")}',
                    getattr(self, name),
                    above=0,
                    at_most=1)
        check_number('--useful-at', self.useful_at, above=0)
        check_number('--student-lr', self.student_lr, above=0)
        if self.best is not None:
            check_number('--best', self.best, above=0)
        check_choice('--start', self.start, STARTS)
        check_choice('--teach', self.teach, TEACHES)
        for seed in self.seeds:
            check_seed('--seeds', seed)
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise ValueError('--seeds should name each seed once, but got '
                             f'{" ".join(map(str, self.seeds)) or "none"}')
        if self.with_baseline and self.baseline:
            raise ValueError('--with-baseline trains the baselines, and '
                             '--baseline names those that exist: give one')

    @property
    def changes_student(self) -> bool:
        """Whether the student's run differs from its baseline's."""
        return (self.student_length, self.student_lr) != (1, 1)


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
        config = _FULL if self.options.changes_student else _STUDENT
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
    made, start, note = _teacher_and_start(options, student)
    plan = Plan(options, made.is_trained, list(made.notes))
    hook = hook_in(student)
    plan.notes += _begin(hook, options, student, start, note)
    own = dict(config=plan.path('teacher.py'), checkpoint=plan.weights)
    hook['teacher'] = {**own, **made.fields}
    if options.teacher_scale != 1:
        hook['teacher']['scale'] = options.teacher_scale
    record_times(student)
    plan.configs = dict(teacher=made.cfg, student=student)
    if options.changes_student and options.with_baseline:
        plan.configs[_FULL] = copy.deepcopy(student)
    if options.student_length != 1:
        plan.notes.append(_shortened(student, options.student_length))
    if options.student_lr != 1:
        try:
            scale_lr(student, options.student_lr)
        except ValueError as error:
            raise ValueError(
                f'--student-lr {options.student_lr:g}: {error}') from error
        plan.notes.append('The student\'s learning rate is multiplied by '
                          f'{options.student_lr:g}.')
    return plan


def _wanted_start(options: Options, student: Config) -> Union[str, dict]:
    if options.start != AUTO:
        return options.start
    own = hook_in(student).get('start')
    return own or ('none' if student.get('load_from') else AUTO)


def _teacher_and_start(
        options: Options,
        student: Config) -> Tuple[TeacherPlan, Optional[dict], str]:
    """Find the teacher, the start that fits the two, and a sentence on it."""
    wanted = _wanted_start(options, student)

    def find(narrow_heads: bool) -> Tuple[TeacherPlan, Optional[dict], str]:
        made = plan_teacher(student, options.teacher,
                            options.teacher_checkpoint,
                            options.teacher_cfg_options, options.teacher_width,
                            options.teacher_scale, options.teacher_length,
                            options.useful_at, narrow_heads)
        return (made, *choose_start(wanted, student, made.cfg))

    if _would_grow_alone(options, student):
        try:
            found = find(narrow_heads=True)
        except ValueError:  # if it has another reason, it comes again
            pass
        else:
            if found[1] and bare_name(found[1]['type']) == 'Grow':
                return found
    return find(narrow_heads=False)


def _would_grow_alone(options: Options, student: Config) -> bool:
    """Whether the student is to take the weights alone, if it can grow."""
    wanted = _wanted_start(options, student)
    kind = wanted if isinstance(wanted, str) else bare_name(wanted['type'])
    # Weights that exist may be those of a teacher with wide heads.
    if kind not in (AUTO, 'Grow') or options.teacher_checkpoint:
        return False
    hook = dict(hook_in(student), start=dict(type='Grow'))
    teach_too(hook, options.teach, '', isinstance(wanted, str))
    return hook.get('distill') == []


def _begin(hook: Dict[str, Any], options: Options, student: Config,
           start: Optional[dict], note: str) -> List[str]:
    """Give the hook its start, and whether the teacher teaches too.

    Raises:
        ValueError: If what was asked for does not fit.
    """
    is_own = not hook.get('start') or options.start != AUTO
    hook.pop('start', None)
    if start is not None:
        hook['start'] = start
        if student.get('load_from'):
            raise ValueError(
                f'the student begins with the weights of load_from '
                f'({student.load_from}), and its start would put the '
                'teacher\'s in their place: leave one of the two out (--start '
                'none)')
    said = teach_too(hook, options.teach, note, is_own)
    if hook.get('distill') == [] and options.student_lr < 1:
        said += (' At a lower learning rate (--student-lr) students ended far '
                 'lower so.')
    return [note, said] if said else [note]


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
        _refuse_changed(stored['asked'], asked, options.work_dir)
        return Plan(options, stored['trains_teacher'], stored['notes'])
    plan = make_plan(options)
    os.makedirs(options.work_dir, exist_ok=True)
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
    found.update(
        flat('student',
             load_config(options.student, options.cfg_options).to_dict()))
    teacher = options.teacher
    if teacher and osp.isfile(teacher):
        found.update(flat('teacher', load_config(teacher).to_dict()))
    return found


def _refuse_changed(stored: Dict[str, str], asked: Dict[str, str],
                    folder: str) -> None:
    # An option that is newer than the folder had its default.
    known = {key.split('.')[1] for key in stored if key.startswith('option.')}
    newer = {
        key: value
        for key, value in _options_of(Options('', '')).items()
        if key.split('.')[1] not in known
    }
    changes = differences({**newer, **stored}, asked)
    if changes:
        raise ValueError(
            f'{folder} has a pair of another command or config: '
            f'{listed(changes, _SHOWN)}. Go on with what it was, give another '
            '--work-dir, or move the folder away')
