# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The runs that a benchmark drives: equal students that stand still."""
import copy
from itertools import cycle
from typing import Any, Mapping, Sequence, Set, Tuple

from mmengine.config import Config
from torch import nn

from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.teacher_fields import teacher_fields
from mmw2s.engine.launch import remove_distillation
from mmw2s.engine.run_facts import describe_run, iters_per_update
from mmw2s.utils.fields import check_integer
from mmw2s.utils.hook_configs import hook_configs
from mmw2s.utils.unwrap_model import unwrap_model
from .memory import allocated_mib
from .rehearsal import Rehearsal, Trained

__all__ = [
    'Floor', 'OwnTraining', 'configs_of_both', 'distilling_run',
    'steps_between', 'with_teacher_options'
]

_HOOK = 'WeakTeacherDistillHook'
# More epochs or iterations than any benchmark takes.
_FOR_EVER = 10**6


def configs_of_both(cfg: Config) -> Tuple[Config, Config]:
    """The config of the baseline and that of the run, made comparable."""
    cfg = standing_still(cfg)
    plain = copy.deepcopy(cfg)
    try:
        remove_distillation(plain)
    except ValueError:
        raise ValueError('a benchmark measures what WeakTeacherDistillHook '
                         'costs, but this config has none') from None
    return plain, cfg


def standing_still(cfg: Config) -> Config:
    """A config whose model does not learn, and whose run has no end."""
    cfg = copy.deepcopy(cfg)
    # Step times in the log would mix all modes.
    cfg.log_level = 'WARNING'
    cfg.train_cfg.update({
        key: _FOR_EVER
        for key in ('max_epochs', 'max_iters') if key in cfg.train_cfg
    })
    # Weights change how long a step takes, by the number of proposals or by
    # denormal values. So both students start equal and do not learn.
    cfg.merge_from_dict({'randomness.seed': 0})
    if 'optimizer' in cfg.optim_wrapper:
        cfg.optim_wrapper.optimizer.lr = 0.
    return cfg


def _shown(cfg: Config) -> dict:
    """The first hook that distills anything, which a rehearsal shows."""
    hooks = hook_configs(cfg, _HOOK)
    return next((h for h in hooks if h.get('distill') != []), hooks[0])


def with_teacher_options(cfg: Config, options: Mapping[str, Any]) -> Config:
    """A copy of a config whose teacher has other fields.

    Args:
        cfg (Config): A config with a ``WeakTeacherDistillHook``.
        options (Mapping): Fields of :class:`FrozenTeacher`.

    Raises:
        TypeError: If there is no such field.
        ValueError: If a value is wrong.
    """
    cfg = copy.deepcopy(cfg)
    hook = _shown(cfg)
    hook['teacher'] = {**teacher_fields(hook.get('teacher', {})), **options}
    FrozenTeacher.check_cfg(hook['teacher'])
    return cfg


def steps_between(run: Rehearsal, distilling: Config) -> int:
    """Number of steps that a mode takes in a row.

    With gradient accumulation only every n-th step updates weights, and is
    longer; with ``every`` of the hook only some updates distill. So a mode
    takes all steps from one update that distills to the next.

    Args:
        run (Rehearsal): The baseline.
        distilling (Config): The config of the run with a teacher.
    """
    every = _shown(distilling).get('every', 1)
    check_integer(f'{_HOOK}.every', every, at_least=1)
    return iters_per_update(run.runner) * every


def distilling_run(cfg: Config, work_dir: str,
                   units: Sequence[Sequence[Any]]) -> Rehearsal:
    """A run at full strength without an end, and its first steps.

    Entries that take turns by schedules of their own run all at once.

    Args:
        cfg (Config): A config with a ``WeakTeacherDistillHook``.
        work_dir (str): A temporary folder.
        units (Sequence[Sequence]): The batches of the first steps.
    """
    run = Rehearsal(cfg, work_dir)
    for hook in run.hooks:
        fields = hook.fields
        fields.schedule = dict(type='Constant', value=1.)
        fields.stop = dict(type='At', iter=_FOR_EVER)
        if isinstance(fields.distill, (list, tuple)):  # all entries at once
            fields.distill = [{
                name: value
                for name, value in entry.items()
                if name not in ('schedule', 'stop')
            } for entry in fields.distill]
    run.begin()
    for unit in units:
        run.train(unit)
    return run


class OwnTraining:
    """Steps of the teacher's own training, on batches of its own config.

    Args:
        cfg (Config): The config that the teacher is trained with.
        work_dir (str): A temporary folder.
        batches (int): Number of batches, which are loaded once.

    Attributes:
        kept_mib (float): The memory that the run keeps from step to step,
            with its batches.
    """

    def __init__(self, cfg: Config, work_dir: str, batches: int) -> None:
        before = allocated_mib()
        self._run = Rehearsal(standing_still(cfg), work_dir)
        self._run.begin()
        count = iters_per_update(self._run.runner)
        units = [[batch] * count for batch in self._run.batches(batches)]
        for unit in units:
            self._run.train(unit)
        self._units = cycle(units)
        self.kept_mib = allocated_mib() - before

    def train(self, _: Sequence[Any]) -> Trained:
        """An update on the next batch of its own, not on the students'."""
        return self._run.train(next(self._units))

    def facts(self) -> dict:
        facts = describe_run(self._run.runner)
        return {
            f'teacher_{key}': facts.get(key)
            for key in ('config', 'batch_size_per_device')
        }


class Floor:
    """Steps of the baseline, each with a forward of the other run's teacher.

    The teacher runs where it runs in distillation: after the student's
    forward, in the student's precision, with the student's activations in
    memory.
    """

    def __init__(self, baseline: Rehearsal, distilling: Rehearsal) -> None:
        self._baseline, self._hook = baseline, distilling.hook
        self._student = unwrap_model(baseline.runner.model)
        #: Shapes of the batches, as the students see them.
        self.shapes: Set[Tuple[int, ...]] = set()

    def train(self, batches: Sequence[Any]) -> Trained:
        handle = self._student.register_forward_hook(
            self._run_teacher, with_kwargs=True)
        try:
            return self._baseline.train(batches)
        finally:
            handle.remove()

    def _run_teacher(self, module: nn.Module, args: tuple, kwargs: dict,
                     output: Any) -> None:
        batch = dict(zip(('inputs', 'data_samples'), args), **kwargs)
        distiller = self._hook.distiller
        self.shapes.add(tuple(batch['inputs'].shape))
        if not distiller.has_turn(self._baseline.runner.iter):
            return
        until = list(distiller.calls_needed.values())[-1]
        outputs = distiller.teacher_outputs(batch['inputs'],
                                            batch.get('data_samples'), until)
        for name in until:
            outputs[name]  # outputs are computed on access
