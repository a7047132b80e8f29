# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A study from its first run to its result."""
import os.path as osp
from functools import partial
from typing import Any, Dict, List, Optional, Sequence

from mmw2s import watch
from mmw2s.pair.stages import Stage
from mmw2s.records.lock import hold
from .arms import BASELINE, TEACHER, UNTRAINED, shares_in
from .frozen import Frozen
from .plan import Plan
from .result import Result
from .teachers import baselines_best, provide
from .workers import Task, run_tasks

__all__ = ['chosen_arms', 'run_study']


def run_study(plan: Plan,
              frozen: Frozen,
              workers: Any,
              only: Sequence[str] = (),
              expected: Optional[Dict[str, float]] = None,
              every: float = 2.) -> Result:
    """Train what is not trained yet, and tell what it shows.

    First come the runs that need no teacher, and the teacher's own training;
    each of the others begins as soon as its teacher can be chosen. A run that
    fails stops only those that need it.

    Args:
        plan (Plan): The study.
        frozen (Frozen): What was fixed.
        workers (LocalWorkers or SlurmWorkers): Where runs are trained.
        only (Sequence[str]): The arms that are trained. Defaults to all.
        expected (dict[str, float], optional): Name of an arm, or
            ``'teacher'`` -> seconds that a run may take, for the display.
        every (float): Seconds from one look at the runs to the next. Defaults
            to 2.

    Returns:
        Result: It is in ``study_result.json`` and ``study_result.md``, too.

    Raises:
        RunEnded: If Ctrl-C or SIGTERM has ended it. The same call goes on.
        ValueError: If there is no arm of a name in ``only``.
    """
    hold(plan.path())
    arms = chosen_arms(plan, only)
    problems: Dict[str, str] = {}
    display = watch.LiveDisplay(
        osp.basename(plan.path()), plan.path('progress.html'))

    def show(running: Sequence[Stage]) -> None:
        display.update(_shown(plan, arms, running, problems, expected))

    with display, workers.watching():
        problems.update(run_tasks(workers, _tasks(plan, arms), show, every))
        show([])
    result = Result(plan, frozen, problems)
    result.save()
    return result


def chosen_arms(plan: Plan, only: Sequence[str]) -> List[str]:
    """The arms that are trained, in their order; all if none is named.

    Raises:
        ValueError: If there is no arm of a name in ``only``.
    """
    unknown = [arm for arm in only if arm not in plan.arms]
    if unknown:
        raise ValueError(f'--only names {", ".join(unknown)}, but the arms are'
                         f' {", ".join(plan.arms)}')
    return [arm for arm in plan.arms if not only or arm in only]


def _tasks(plan: Plan, arms: Sequence[str]) -> List[Task]:
    """All runs, in their order."""
    alone = [arm for arm in arms if plan.teacher_of(arm) is None]
    tasks = _runs(plan, alone)
    for stage in _training_of_teacher(plan, arms):
        # A training that ends once the teacher is useful needs the best.
        tasks.append(
            Task(stage, _baselines(plan), partial(_until_useful, plan)
                 ) if plan.stops_when_useful else Task(stage))
    return tasks + _runs(plan, [arm for arm in arms if arm not in alone])


def _runs(plan: Plan, arms: Sequence[str]) -> List[Task]:
    """The runs of some arms: the first seed of each, then the second."""
    by_seed: Dict[int, List[Task]] = {}
    for arm in arms:
        for place, stage in enumerate(plan.runs(arm).values()):
            by_seed.setdefault(place, []).append(_run(plan, arm, stage))
    return [task for place in sorted(by_seed) for task in by_seed[place]]


def _run(plan: Plan, arm: str, stage: Stage) -> Task:
    """A run, after what its teacher is chosen from."""
    name = plan.teacher_of(arm)
    if name is None:
        return Task(stage, prepare=partial(_check_metric, plan))
    after = [] if name == UNTRAINED or plan.teacher_run is None else \
        [plan.teacher_run]
    if shares_in(name) is not None or \
            plan.study.teacher.get('useful_at') is not None:
        after += _baselines(plan)

    def choose() -> Dict[str, Any]:
        provide(plan, name)
        return _check_metric(plan)

    return Task(stage, after, choose)


def _check_metric(plan: Plan) -> Dict[str, Any]:
    """Begin no further run where those before have no such metric."""
    for arm in plan.arms:
        for stage in plan.runs(arm).values():
            history = stage.record.get('history', [])
            known = {name for row in history for name in row['metrics']}
            if known and plan.study.metric not in known:
                raise ValueError(
                    f'the metric of the study is "{plan.study.metric}", but '
                    f'{stage.name} has {", ".join(sorted(known))}: name one '
                    'of these, with --amend')
    return {}


def _baselines(plan: Plan) -> List[Stage]:
    return list(plan.runs(BASELINE).values())


def _training_of_teacher(plan: Plan, arms: Sequence[str]) -> List[Stage]:
    needed = any(plan.teacher_of(arm) not in (None, UNTRAINED) for arm in arms)
    return [plan.teacher_run] if plan.teacher_run and needed else []


def _until_useful(plan: Plan) -> Dict[str, Any]:
    found = dict(
        student_best=baselines_best(plan),
        metric=plan.study.metric,
        rule=plan.study.rule)
    return {
        f'default_hooks.stop_when_useful.{key}': value
        for key, value in found.items() if value is not None
    }


def _shown(plan: Plan, arms: Sequence[str], running: Sequence[Stage],
           problems: Dict[str, str],
           expected: Optional[Dict[str, float]]) -> List[watch.Stage]:
    rows = [(TEACHER, stage) for stage in _training_of_teacher(plan, arms)]
    rows += [(arm, stage) for arm in arms for stage in plan.runs(arm).values()]
    return [
        watch.Stage(stage.name, _state(stage, running, problems),
                    stage.work_dir, (expected or {}).get(arm))
        for arm, stage in rows
    ]


def _state(stage: Stage, running: Sequence[Stage], problems: Dict[str,
                                                                  str]) -> str:
    if stage.name in problems:
        return 'failed'
    if stage in running:
        return 'running'
    return 'done' if stage.is_done else 'waiting'
