# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The teachers of a study: chosen by rule among checkpoints, and kept."""
import os
from typing import Any, Dict, List, Optional

import torch
from mmengine.config import Config

from mmw2s.analysis.run import UNITS, Run, cost
from mmw2s.analysis.teacher_choice import checkpoint_of
from mmw2s.distillation.teacher_config import build_model
from mmw2s.pair.best import best_of, find_checkpoint, keep_checkpoint
from mmw2s.records.operating_band import judge_teacher
from mmw2s.utils.rng import preserved_rng
from .arms import BASELINE, TEACHER, UNTRAINED, shares_in
from .plan import TEACHERS, Plan

__all__ = ['baselines_best', 'choice_of', 'provide']


def baselines_best(plan: Plan) -> Optional[float]:
    """The median best of the baselines; None until all have finished."""
    stages = plan.runs(BASELINE).values()
    if not all(stage.is_done for stage in stages):
        return None
    return best_of([stage.work_dir for stage in stages], plan.study.metric,
                   plan.study.rule)


def choice_of(plan: Plan, name: str) -> Optional[Dict[str, Any]]:
    """What :func:`provide` has chosen; None if it has not been called."""
    choice = plan.kept_choice(name)
    if choice is not None and name == TEACHER and \
            choice.get('run') != plan.study.teacher.get('run'):
        choice.update(_cost_of_given(plan))  # it is told later, or amended
    return choice


def provide(plan: Plan, name: str) -> Dict[str, Any]:
    """Choose a teacher and keep its config and weights, once.

    Args:
        plan (Plan): The study.
        name (str): ``'teacher'``, ``'untrained'`` or ``'teacher_60'``.

    Returns:
        dict: What was chosen. ``cost`` has what its training has cost, by
        unit; None if that is not known.

    Raises:
        ValueError: If there is no such checkpoint.
    """
    found = choice_of(plan, name)
    if found is not None:
        return found
    os.makedirs(plan.path(TEACHERS), exist_ok=True)
    owner = TEACHER
    if name == UNTRAINED:
        choice = _untrained(plan)
    elif shares_in(name) is not None:
        owner, choice = _of_share(plan, shares_in(name))
    else:
        choice = _own(plan)
    # Before the weights: where their choice lies, all is there.
    Config(plan.configs[owner].to_dict()).dump(plan.teacher_path(name, 'py'))
    return keep_checkpoint(choice, plan.teacher_path(name, 'pth'))


def _own(plan: Plan) -> Dict[str, Any]:
    """The study's own teacher."""
    study, run = plan.study, plan.teacher_run
    if run is None:
        return dict(checkpoint=plan.checkpoint, **_cost_of_given(plan))
    if study.teacher.get('useful_at') is not None:
        return _chosen(plan, run.work_dir, study.teacher['useful_at'])
    rows = Run.load(run.work_dir).rows(study.metric)
    saved = [(row, checkpoint_of(row, run.work_dir)) for row in rows]
    saved = [(row, file) for row, file in saved if file is not None]
    if not saved:
        raise ValueError(f'no validation of the teacher in {run.work_dir} has '
                         f'both a checkpoint and a {study.metric}')
    row, checkpoint = saved[-1]
    return dict(
        metric=study.metric,
        score=row['metrics'][study.metric],
        epoch=row['epoch'],
        iter=row['iter'],
        checkpoint=checkpoint,
        cost=_costs(Run.load(run.work_dir), row))


def _cost_of_given(plan: Plan) -> Dict[str, Any]:
    """What the training of a teacher that exists has cost, if that is told."""
    trained = plan.study.teacher.get('run')
    return dict(run=trained, cost=_costs(Run.load(trained))) if trained else \
        dict(cost=None)


def _of_share(plan: Plan, share: float):
    """A teacher of a share of the best: whose checkpoint, and which.

    The teacher's own training comes first, then the baselines', for a teacher
    that never is so good.
    """
    places = [(TEACHER, plan.teacher_run)] if plan.teacher_run else []
    places += [(BASELINE, stage) for stage in plan.runs(BASELINE).values()]
    seen: List[str] = []
    for owner, stage in places:
        choice = _chosen(plan, stage.work_dir, share)
        judged = judge_teacher(choice['score'], _best(plan), plan.study.rule)
        if judged.share >= share:
            return owner, choice
        seen.append(f'{stage.name} {judged.share:.0%}')
    raise ValueError(f'no checkpoint has {share:.0%} of the baselines\' best: '
                     f'at most {", ".join(seen)}')


def _chosen(plan: Plan, folder: str, share: float) -> Dict[str, Any]:
    study = plan.study
    choice = find_checkpoint(folder, _best(plan), share, study.metric,
                             study.rule)
    run = Run.load(folder)
    row = next(r for r in run.history if r['iter'] == choice['iter'])
    return dict(choice, cost=_costs(run, row))


def _best(plan: Plan) -> float:
    best = baselines_best(plan)
    if best is None:
        raise ValueError('the teacher is chosen by the best of the baselines, '
                         'and not all of these have finished')
    return best


def _costs(run: Run, row: Optional[dict] = None) -> Dict[str, float]:
    return {
        unit: cost(run, row or run.history[-1], unit)
        for unit in UNITS if run.knows(unit)
    }


def _untrained(plan: Plan) -> Dict[str, Any]:
    path = plan.teacher_path(UNTRAINED, 'init.pth')
    with preserved_rng():
        torch.manual_seed(0)
        model = build_model(plan.configs[TEACHER])
    torch.save(dict(state_dict=model.state_dict()), path)
    return dict(checkpoint=path, cost=dict.fromkeys(UNITS, 0.))
