# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A pair from its teacher to its budget."""
import os.path as osp
from typing import Any, Dict, List, Optional, Sequence

from mmw2s import watch
from mmw2s.records.lock import hold
from .best import best_of, choose_checkpoint, judged_by
from .budget import Budget
from .plan import Plan
from .stages import Launch, Stage, Supervisor
from .starting import start_alone

__all__ = ['run_pair']


def run_pair(plan: Plan,
             launch: Launch = Launch(),
             targets: Optional[Sequence[str]] = None,
             expected: Optional[Dict[str, float]] = None,
             every: float = 2.) -> Budget:
    """Do what a plan says, from where an earlier call has come to.

    Args:
        plan (Plan): The plan.
        launch (Launch): How the trainings are started.
        targets (Sequence[str], optional): See :func:`mmw2s.analysis.compare`.
        expected (dict[str, float], optional): Name of a stage -> seconds that
            it may take, for the display.
        every (float): Seconds from one look at a stage to the next. Defaults
            to 2.

    How it goes on is shown in the terminal, and on ``progress.html`` in the
    folder.

    Returns:
        Budget: What it has cost; it is in ``budget.json`` of the folder, too.

    Raises:
        RunEnded: If Ctrl-C or SIGTERM has ended it. The same call goes on.
        StageFailed: If a training has failed.
    """
    hold(plan.path())
    display = watch.LiveDisplay(
        osp.basename(plan.path()), plan.path('progress.html'))
    failed: List[str] = []

    def look(running: Optional[Stage], ended_badly: Optional[Stage]) -> None:
        if ended_badly is not None:
            failed.append(ended_badly.name)
        display.update([
            watch.Stage(stage.name, _state(stage, running, failed),
                        stage.work_dir, (expected or {}).get(stage.name))
            for stage in plan.stages
        ])

    supervisor = Supervisor(launch, look, every)
    choice = None
    with display, supervisor.watching():
        for stage in plan.stages:
            is_teacher = stage == plan.teacher
            judge = _judge_of(plan) if is_teacher else {}
            supervisor.run(
                stage, {
                    f'default_hooks.stop_when_useful.{key}': value
                    for key, value in judge.items() if value is not None
                })
            if is_teacher:
                choice = choose_checkpoint(
                    stage.work_dir,
                    plan.weights,
                    share=plan.options.useful_at,
                    **judge)
                choice['alone'] = plan.options.teach != 'yes' and start_alone(
                    plan.path('student.py'),
                    None if plan.starts_by_config else choice.get('share'))
        look(None, None)
    budget = Budget(plan, choice, targets)
    budget.save(plan.path('budget.json'))
    return budget


def _state(stage: Stage, running: Optional[Stage],
           failed: Sequence[str]) -> str:
    if stage.name in failed:
        return 'failed'
    if stage == running:
        return 'running'
    return 'done' if stage.is_done else 'waiting'


def _judge_of(plan: Plan) -> Dict[str, Any]:
    """How the teacher is judged: by what the student reaches without it, as
    far as that is known, and by the same metric."""
    options = plan.options
    metric, rule, best = options.metric, options.rule, options.best
    if best is None:
        metric, rule = judged_by(plan.baselines, metric, rule)
        best = best_of(plan.baselines, metric, rule)
    return dict(student_best=best, metric=metric, rule=rule)
