# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a user asks of a study, in a file of its own."""
import difflib
import os.path as osp
from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Optional, Sequence, Union

from mmengine.config import Config

from mmw2s.analysis.compare_runs import find_targets
from mmw2s.records.targets import infer_rule
from mmw2s.utils.fields import check_number, check_seed, check_text
from .arms import ARMS, BASELINE

__all__ = ['Study']

# Configs and folders of a study that no arm may be called by.
_TAKEN = ('configs', 'slurm', 'student', 'teacher', 'teacher_training',
          'teachers')
_OF_AN_ARM = ('cfg_options', 'like', 'seeds')
# Beside those of the hook's teacher.
_OF_TEACHER = ('cfg_options', 'checkpoint', 'config', 'run', 'useful_at')


@dataclass
class Study:
    """The fields of a study's file, a config in Python.

    Args:
        student (str): Config of the student; it may have the hook.
        teacher (str or dict): Its config, or ``'derive'``; or a dict with
            ``config``, and ``checkpoint`` for one that is trained already.
            ``useful_at=0.85`` takes the earliest checkpoint of its training
            with that share of the baselines' best, instead of the last one.
            ``run`` names the work_dir of a training that was done before, to
            count it. Further keys are fields of the hook's ``teacher``.
        metric (str): The metric of targets and final scores.
        margin (float): By how much a final score may be below the
            baseline's, in units of the metric.
        arms (dict or list): Names of built-in arms (:data:`~.arms.ARMS`), or
            name -> dict with ``seeds``, ``cfg_options`` and, for an arm of
            your own, ``like``, the built-in arm that it begins with (by
            default ``'distillation'``).
        seeds (Sequence[int]): Each arm is trained with each of them. Defaults
            to 0, 1 and 2.
        targets (Sequence[str or float]): Values, or shares as '90%' of the
            median best of the baselines. Defaults to 80, 90 and 95 %.
        rule (str, optional): 'greater' or 'less': which scores are better.
            Defaults to None: inferred from the metric's name.
        start (str or dict): The start of the arms that begin with the
            teacher's weights: the hook's field, or ``'auto'``. Defaults to
            ``'auto'``.
        warm_up (float): Part of the learning rate's warm-up that is left to
            those arms. Defaults to 1: all of it.
        cfg_options (dict): Overrides of the student's config, in all arms.
        budget (float, optional): Minutes that all runs together may take, by
            the estimate of the dry run. Defaults to None: not checked.

    Raises:
        ValueError: If a field is wrong. The message names it.

    Examples:
        >>> Study.load('my_study.py').seeds
        [0, 1, 2]
    """
    student: str
    teacher: Union[str, Dict[str, Any]]
    metric: str
    margin: float
    arms: Union[Dict[str, dict], Sequence[str]]
    seeds: Sequence[int] = (0, 1, 2)
    targets: Sequence[Union[str, float]] = ('80%', '90%', '95%')
    rule: Optional[str] = None
    start: Union[str, dict] = 'auto'
    warm_up: float = 1.
    cfg_options: Dict[str, Any] = field(default_factory=dict)
    budget: Optional[float] = None

    @classmethod
    def load(cls, path: str) -> 'Study':
        """Read a study's file.

        Names that begin with ``_`` are helpers, and no fields.

        Args:
            path (str): The file.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If a field is missing, unknown or wrong.
        """
        if not osp.isfile(path):
            raise FileNotFoundError(f'there is no study "{path}"')
        given = {
            name: value
            for name, value in Config.fromfile(path).to_dict().items()
            if not name.startswith('_')
        }
        known = {one.name for one in fields(cls)}
        for name in given:
            if name not in known:
                raise ValueError(f'{path} has the field "{name}", which a '
                                 f'study does not: {_nearest(name, known)}')
        missing = [
            name for name in ('student', 'teacher', 'metric', 'margin', 'arms')
            if name not in given
        ]
        if missing:
            raise ValueError(f'{path} should have the fields '
                             f'{", ".join(missing)} too, but has '
                             f'{", ".join(given) or "none"}')
        return cls(**given)

    def __post_init__(self) -> None:
        if isinstance(self.teacher, str):
            self.teacher = dict(config=self.teacher)
        if not isinstance(self.arms, dict):
            self.arms = {name: {} for name in self.arms}
        self.arms = {name: dict(arm) for name, arm in self.arms.items()}
        self.seeds = list(self.seeds)
        self.check()

    def check(self) -> None:
        """Refuse values that are always wrong.

        Raises:
            ValueError: The message names the field.
        """
        check_text('student', self.student, 'the path of a config')
        check_text('metric', self.metric, 'the name of a metric')
        self.rule = infer_rule(self.metric, self.rule)
        check_number('margin', self.margin, at_least=0)
        check_number('warm_up', self.warm_up, above=0, at_most=1)
        if self.budget is not None:
            check_number('budget', self.budget, above=0)
        if 'config' not in self.teacher:
            raise ValueError('teacher should be a config, or a dict with the '
                             f'key "config", but got {self.teacher!r}')
        if self.teacher.get('useful_at') is not None:
            check_number(
                'teacher.useful_at', self.teacher['useful_at'], above=0)
            if self.teacher.get('checkpoint') is not None:
                raise ValueError(
                    'teacher.useful_at chooses a checkpoint of the teacher\'s '
                    'training, but teacher.checkpoint names one: give one of '
                    'the two')
        if self.teacher.get('run') is not None and \
                self.teacher.get('checkpoint') is None:
            raise ValueError(
                'teacher.run names the training of a teacher that exists, '
                f'but got {self.teacher["run"]!r} without teacher.checkpoint, '
                'so the teacher would be trained: give its checkpoint too, '
                'or leave run out')
        find_targets(self.targets, 1., self.rule)
        _check_seeds('seeds', self.seeds)
        if BASELINE not in self.arms:
            raise ValueError(
                f'arms should have "{BASELINE}", which all others '
                'are compared with')
        for name, arm in self.arms.items():
            self._check_arm(name, arm)

    def _check_arm(self, name: str, arm: Dict[str, Any]) -> None:
        for key in arm:
            if key not in _OF_AN_ARM:
                raise ValueError(f'arms.{name} has the key "{key}": '
                                 f'{_nearest(key, _OF_AN_ARM)}')
        _check_seeds(f'arms.{name}.seeds', self.seeds_of(name))
        if name in ARMS and 'like' in arm:
            raise ValueError(f'arms.{name} is a built-in arm: leave out '
                             '"like", or give the arm another name')
        if name not in ARMS and not arm:
            raise ValueError(f'there is no arm "{name}": '
                             f'{_nearest(name, ARMS)}. An arm of your own is '
                             'a dict with "cfg_options"')
        if self.like(name) not in ARMS:
            raise ValueError(f'arms.{name}.like is "{self.like(name)}": '
                             f'{_nearest(self.like(name), ARMS)}')
        if name in _TAKEN:
            raise ValueError(f'"{name}" is what a study calls a config or '
                             'folder of its own: give the arm another name')
        if not name.replace('_', '').replace('-', '').isalnum():
            raise ValueError('an arm is a folder, so its name should have '
                             f'letters, digits, _ and - alone, not "{name}"')

    def like(self, arm: str) -> str:
        """The built-in arm that an arm is, or begins with."""
        return arm if arm in ARMS else self.arms[arm].get(
            'like', 'distillation')

    def seeds_of(self, arm: str) -> List[int]:
        """The seeds of an arm."""
        return list(self.arms[arm].get('seeds', self.seeds))

    @property
    def hook_teacher(self) -> Dict[str, Any]:
        """Further fields of the hook's ``teacher``."""
        return {
            key: value
            for key, value in self.teacher.items() if key not in _OF_TEACHER
        }


def _check_seeds(name: str, seeds: Sequence[int]) -> None:
    for seed in seeds:
        check_seed(name, seed)
    if not seeds or len({*seeds}) < len(seeds):
        raise ValueError(f'{name} should name each seed once, but got '
                         f'{seeds!r}')


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, known, n=2)
    return f'did you mean {" or ".join(near)}?' if near else \
        f'there are {", ".join(sorted(known))}'
