# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Which start a student can begin with, and whether it is taught too."""
import tempfile
from typing import Any, Dict, List, Optional, Tuple, Union

from mmengine.config import Config

from mmw2s.distillation.class_matching import other_classes
from mmw2s.distillation.starts.layers import is_pretrained
from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.teacher_config import build_model
from mmw2s.engine.distill_config import hook_in
from mmw2s.registry import STARTS
from mmw2s.utils.files import whole_file
from mmw2s.utils.kinds import bare_name
from .options import AUTO, Options
from .teacher import TeacherPlan, classes_of, plan_teacher, untrained

__all__ = [
    'GROWN_RATE', 'TEACHES_FROM', 'choose_start', 'give_start', 'start_alone',
    'teach_too', 'teacher_and_start'
]

#: Factor of the learning rate of a student that grew and is taught. At its
#: full one it is slower to early targets: docs/results/bccd.md, "Grown from
#: the teacher".
GROWN_RATE = 0.5
#: A teacher below this share of the student's best gives its weights alone.
TEACHES_FROM = 0.75


def _wanted_start(options: Options, student: Config) -> Union[str, dict]:
    """A start's type that the pair chooses or is told, or the config's own."""
    if options.start != AUTO:
        return options.start
    own = hook_in(student).get('start')
    return own or ('none' if student.get('load_from') else AUTO)


def teacher_and_start(
        options: Options,
        student: Config) -> Tuple[TeacherPlan, Optional[dict], str]:
    """Find the teacher of a student, and the start that fits the two.

    A derived teacher has narrow heads where the student can grow out of them,
    and is to take the weights alone.

    Args:
        options (Options): What was asked for.
        student (Config): Config of the student.

    Returns:
        Tuple[TeacherPlan, dict | None, str]: The teacher, the hook's field
        ``start``, and a sentence on it.

    Raises:
        FileNotFoundError: If a file that was named does not exist.
        ValueError: If something does not fit.
    """
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
            made, start, _ = found
            if not made.has_narrow_heads or (start and bare_name(start['type'])
                                             == 'Grow'):
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


def give_start(student: Config, options: Options, start: Optional[dict],
               note: str) -> Tuple[List[str], float]:
    """Give the student's hook its start, and whether it is taught too.

    Args:
        student (Config): Config of the student, changed in place.
        options (Options): What was asked for.
        start (dict, optional): The start.
        note (str): What was found of it.

    Returns:
        Tuple[list[str], float]: Sentences for the plan, and the factor of the
        student's learning rate.

    Raises:
        ValueError: If what was asked for does not fit.
    """
    hook = hook_in(student)
    is_own = isinstance(_wanted_start(options, student), str)
    hook.pop('start', None)
    if start is not None:
        hook['start'] = start
        if student.get('load_from'):
            raise ValueError(
                f'the student begins with the weights of load_from '
                f'({student.load_from}), and its start would put the '
                'teacher\'s in their place: leave one of the two out (--start '
                'none)')
    is_classifier = bare_name(student.model.get('type')) == 'ImageClassifier'
    said = teach_too(hook, options.teach, note, is_own, is_classifier)
    rate = options.student_lr
    if rate is None:
        # A start of the config's may have a learning rate that fits it.
        rate = GROWN_RATE if options.teach == 'yes' and is_own and start and \
            bare_name(start['type']) == 'Grow' else 1.
    if hook.get('distill') == [] and rate < 1:
        said += (' At a lower learning rate (--student-lr) students ended far '
                 'lower so.')
    return [note, said] if said else [note], rate


def choose_start(wanted: Union[str, dict], student: Config,
                 teacher: Config) -> Tuple[Optional[dict], str]:
    """Find a start that fits two models, by trying it.

    Args:
        wanted (str | dict): A start or its type, ``'none'``, or ``'auto'``:
            ``Grow`` where the student can begin as the teacher, else
            ``Inherit`` where it can take over anything, else none. Not
            ``Grow`` for a student with pretrained weights, whose backbone
            ``Inherit`` leaves.
        student (Config): Config of the student.
        teacher (Config): Config of the teacher.

    Returns:
        Tuple[dict | None, str]: The hook's field ``start``, and a sentence.

    Raises:
        ValueError: If the start that was named does not fit.
    """
    if wanted == 'none':
        return None, 'The student starts as its run initializes it.'
    starts, refused = [wanted], []
    model = build_model(student)
    if wanted == AUTO:
        starts = ['Inherit'] if is_pretrained(model) else ['Grow', 'Inherit']
    with tempfile.TemporaryDirectory() as folder:
        frozen = FrozenTeacher(**untrained(teacher, folder))
        other = other_classes(frozen, classes_of(student))
        for start in starts:
            cfg = dict(type=start) if isinstance(start, str) else start
            try:
                # A start that does not fit leaves the model as it was.
                started = STARTS.build(cfg).apply(model, frozen, other)
            except ValueError as error:
                if wanted != AUTO:
                    raise
                refused.append(str(error))
            else:
                return cfg, ' '.join([
                    f'The student starts by {bare_name(cfg["type"])}: '
                    f'{started.share:.1%} of its parameters begin as the '
                    'teacher\'s.', *refused
                ])
    return None, 'No start fits the two models: ' + ' '.join(refused)


def teach_too(hook: Dict[str, Any],
              asked: str,
              note: str,
              is_own_start: bool,
              is_classifier: bool = False) -> str:
    """Let a hook distill, or not, as far as that is known beforehand.

    Args:
        hook (dict): The hook, with its start. It gets ``distill=[]`` if the
            teacher gives its weights alone.
        asked (str): ``'yes'``, ``'no'``, or ``'auto'``: a student that grows,
            and a classifier, takes the weights alone, unless the config has
            the start or says what is distilled. See :func:`start_alone` for
            weak teachers.
        note (str): What was found of the start.
        is_own_start (bool): Whether the start is the pair's, not the config's.
        is_classifier (bool): Whether the student is one. Defaults to False.

    Returns:
        str: A sentence if nothing is distilled, else nothing.

    Raises:
        ValueError: If what was asked for contradicts the config or the start.
    """
    start, distill = hook.get('start'), hook.get('distill')
    said = ''
    if asked == 'no':
        if start is None:
            raise ValueError(
                '--teach no leaves the student the teacher\'s weights alone, '
                f'but it has no start. {note} Leave --teach out, or train the '
                'student without a teacher (tools/train.py)')
        if distill:
            raise ValueError(
                '--teach no, but the student\'s config says what is distilled '
                f'({distill}): leave one of the two out')
        hook['distill'] = []
    elif asked == AUTO and is_own_start and start and 'distill' not in hook:
        who = 'Students that grew' if bare_name(start['type']) == 'Grow' else \
            'Classifiers that start' if is_classifier else None
        if who:
            hook['distill'] = []
            said = f' {who} ended higher so (else: --teach yes).'
    if hook.get('distill') != []:
        return ''
    if start is None or asked == 'yes':
        given = 'there is no start' if start is None else '--teach yes'
        raise ValueError(
            f'{given}, but the student\'s config has distill=[], by which '
            'nothing is distilled: add --cfg-options '
            'default_hooks.w2s.distill=None, or leave --teach and --start out')
    return f'The teacher gives its weights alone, nothing is distilled.{said}'


def start_alone(path: str, share: Optional[float]) -> bool:
    """Let a student learn nothing from a weak teacher that it starts from.

    Such a teacher's weights help, and its outputs hold back what has begun
    with them: docs/results/methods.md, "Starts beside them". With a teacher
    of 0.70 of the student's best the start alone ended clearly higher, with
    one of 0.82 it did not.

    Args:
        path (str): The student's config; its hook gets ``distill=[]``, unless
            it says what is distilled, or has no start.
        share (float, optional): The teacher's score as a share of the
            student's best; None if that is not known.

    Returns:
        bool: Whether the teacher gives its weights alone.
    """
    cfg = Config.fromfile(path)
    hook = hook_in(cfg)
    if not hook.get('start'):
        return False
    if share is not None and share < TEACHES_FROM and \
            'distill' not in hook:
        hook['distill'] = []
        with whole_file(path) as copy:
            cfg.dump(copy)
    return hook.get('distill') == []
