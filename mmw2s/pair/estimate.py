# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How long the stages of a pair may take, from a few steps of each."""
import copy
import gc
import math
import os.path as osp
import tempfile
import time
from itertools import islice
from typing import Dict, NamedTuple, Optional

import torch
from mmengine.config import Config

from mmw2s.engine.launch import remove_distillation
from mmw2s.profiling.rehearsal import Rehearsal
from .derive.schedule import count_validations, counts_epochs, run_length
from .plan import Plan
from .teacher import untrained

__all__ = ['ON', 'Pace', 'estimate', 'free_memory', 'measure', 'taught_run']

_STEPS = 3  # that are measured, after one that warms up
_BATCHES = 2  # of a validation
#: Of the run, at most, a default distillation is on: SurpassTeacher.latest.
ON = 0.5


class Pace(NamedTuple):
    """What a run takes.

    Attributes:
        step (float): Seconds of a training step.
        iters (int): Number of them.
        validation (float): Seconds of a validation.
        validations (int): Number of them.
    """
    step: float
    iters: int
    validation: float
    validations: int

    @property
    def seconds(self) -> float:
        """The whole run, start-up left out."""
        return self.step * self.iters + self.validation * self.validations

    def in_run(self, measured: Config, other: Config) -> 'Pace':
        """The same steps in another run, which may be longer or shorter.

        Args:
            measured (Config): Of the run that was measured.
            other (Config): Of the other run.
        """
        return self._replace(
            iters=self.iters * run_length(other) // run_length(measured),
            validations=count_validations(other))

    def shared(self, processes: int, by_epoch: bool) -> 'Pace':
        """The same run in several processes, which share its data.

        Args:
            processes (int): How many.
            by_epoch (bool): Whether the run is so many epochs long, and
                not so many iterations.
        """
        return self._replace(
            iters=math.ceil(self.iters /
                            processes) if by_epoch else self.iters,
            validation=self.validation / processes)


def estimate(plan: Plan, processes: int = 1) -> Dict[str, Pace]:
    """Measure a few steps of each model on its data. Nothing is kept.

    The student is set up with its teacher as in training, so what does not
    fit is refused here, before the teacher is trained.

    A student is counted with its teacher in half of its steps, the longest
    that a default distillation lasts. Validations are measured without the
    evaluator. The teacher may end earlier.

    Args:
        plan (Plan): A plan that was just made.
        processes (int): How many train a stage, each on batches of its own.
            Defaults to 1.

    Returns:
        dict[str, Pace]: Name of the stage -> what it may take.
    """
    student, teacher = plan.configs['student'], plan.configs['teacher']
    plain = copy.deepcopy(student)
    remove_distillation(plain)
    with tempfile.TemporaryDirectory() as folder:
        alone = measure(Rehearsal(plain, osp.join(folder, 'alone')), plain)
        # The same model, in a run that may be longer.
        whole = plan.configs.get('baseline', student)
        full = alone.in_run(student, whole)
        taught = taught_run(student, teacher if plan.trains_teacher else None,
                            folder)
        on = alone if taught is None else measure(taught, student)
        pace = alone._replace(step=ON * on.step + (1 - ON) * alone.step)
        found = {stage.name: full for stage in plan.own_baselines}
        found.update((stage.name, pace) for stage in plan.students)
        if plan.teacher:
            found[plan.teacher.name] = measure(
                Rehearsal(teacher, osp.join(folder, 'teacher')), teacher)
        del taught
    free_memory()
    epochs = counts_epochs(student)
    return {
        stage.name: found[stage.name].shared(processes, epochs)
        for stage in plan.stages
    }


def free_memory() -> None:
    """Free the memory of measured runs, which those to be trained need."""
    gc.collect()  # runners have cycles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def taught_run(cfg: Config, teacher: Optional[Config],
               folder: str) -> Optional[Rehearsal]:
    """A run that distills in every step.

    Args:
        cfg (Config): Config of the student.
        teacher (Config, optional): That of a teacher that is not trained yet;
            its weights are random ones then.
        folder (str): A temporary one.

    Returns:
        Rehearsal | None: None if the teacher gives its weights alone.
    """
    run = Rehearsal(cfg, osp.join(folder, 'taught'))
    fields = run.hook.fields
    if fields.distill == []:
        return None
    fields.schedule = dict(type='Constant', value=1.)
    fields.stop = dict(type='At', iter=run.runner.max_iters)
    if teacher is not None:
        fields.teacher = dict(fields.teacher, **untrained(teacher, folder))
    return run


def measure(run: Rehearsal, cfg: Config) -> Pace:
    """Measure a few steps and a part of a validation of a run.

    Args:
        run (Rehearsal): The run.
        cfg (Config): Its config.
    """
    run.begin()
    first, *others = run.batches(1 + _STEPS)
    run.train([first])
    return Pace(
        run.train(others).ms / 1000, run.runner.max_iters, _validation(run),
        count_validations(cfg))


@torch.no_grad()
def _validation(run: Rehearsal) -> float:
    """Seconds of a validation, from a few of its batches."""
    model, loader = run.runner.model, run.runner.val_loop.dataloader
    model.eval()
    began = time.perf_counter()
    count = 0
    for batch in islice(loader, _BATCHES):
        model.val_step(batch)
        count += 1
    model.train()
    return (time.perf_counter() - began) / count * len(loader)
