# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The runs that a benchmark drives: equal students that stand still."""
import copy
from itertools import cycle
from typing import Any, Sequence, Set, Tuple

from mmengine.config import Config
from torch import nn

from mmw2s.engine.launch import remove_distillation
from mmw2s.engine.run_facts import describe_run
from mmw2s.utils.unwrap_model import unwrap_model
from .memory import allocated_mib
from .rehearsal import Rehearsal, Trained

__all__ = [
    'FOR_EVER', 'Floor', 'OwnTraining', 'configs_of_both', 'steps_of_an_update'
]

#: More epochs or iterations than any benchmark takes.
FOR_EVER = 10**6


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
        key: FOR_EVER
        for key in ('max_epochs', 'max_iters') if key in cfg.train_cfg
    })
    # Weights change how long a step takes, by the number of proposals or by
    # denormal values. So both students start equal and do not learn.
    cfg.merge_from_dict({'randomness.seed': 0})
    if 'optimizer' in cfg.optim_wrapper:
        cfg.optim_wrapper.optimizer.lr = 0.
    return cfg


def steps_of_an_update(run: Rehearsal) -> int:
    # With gradient accumulation only every n-th step updates weights, and
    # is longer. So a mode takes n steps in a row, one whole update.
    return getattr(run.runner.optim_wrapper, '_accumulative_counts', 1)


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
        count = steps_of_an_update(self._run)
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
        until = list(distiller.calls_needed.values())[-1]
        outputs = distiller.teacher_outputs(batch['inputs'],
                                            batch.get('data_samples'), until)
        for name in until:
            outputs[name]  # outputs are computed on access
        self.shapes.add(tuple(batch['inputs'].shape))
