# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How long the runs of a study may take, from a few steps of each kind."""
import copy
import os.path as osp
import tempfile
from typing import Dict

from mmw2s.pair.estimate import ON, Pace, free_memory, measure, taught_run
from mmw2s.profiling.rehearsal import Rehearsal
from .arms import ARMS, BASELINE, TEACHER
from .plan import Plan

__all__ = ['estimate', 'total']


def estimate(plan: Plan) -> Dict[str, Pace]:
    """Measure a few steps of the student, of a distilled one, and of the
    teacher. Nothing is kept.

    What does not fit is refused here. See :func:`mmw2s.pair.estimate` for
    what is measured; all arms have the steps of these three, and as many as
    their own runs.

    Args:
        plan (Plan): The study.

    Returns:
        dict[str, Pace]: Name of an arm, or ``'teacher'`` -> a run of it.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        plain = plan.configs[BASELINE]
        alone = measure(Rehearsal(plain, osp.join(folder, 'alone')), plain)
        taught = None
        for arm in plan.arms:
            cfg = copy.deepcopy(plan.configs[arm])
            like = plan.study.like(arm)
            on = 0. if not ARMS[like].distills else \
                1. if like == 'always_on' else ON
            if on and taught is None:
                taught = measure(
                    taught_run(cfg, plan.configs[TEACHER], folder), cfg)
            step = alone.step if not on else \
                on * taught.step + (1 - on) * alone.step
            found[arm] = alone._replace(step=step).in_run(plain, cfg)
        if plan.teacher_run:
            cfg = plan.configs[TEACHER]
            found[TEACHER] = measure(
                Rehearsal(cfg, osp.join(folder, 'teacher')), cfg)
    free_memory()
    return found


def total(plan: Plan, paces: Dict[str, Pace]) -> float:
    """Seconds of all runs, one after another."""
    return sum(pace.seconds *
               (1 if name == TEACHER else len(plan.study.seeds_of(name)))
               for name, pace in paces.items())
