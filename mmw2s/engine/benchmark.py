# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What distilling costs a training step, while it is on and after it."""
import copy
import os.path as osp
import tempfile
import weakref
from functools import partial
from typing import Any, Callable, Dict, List, Sequence, Set, Tuple

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmw2s.registry import SCHEDULES
from .inner_model import inner_model
from .launch import remove_distillation
from .memory import allocated_mib, step_peak_mib
from .rehearsal import Rehearsal, Trained
from .run_facts import describe_run
from .step_cost import AGAIN, BASELINE, FLOOR, OFF, ON, StepCost

__all__ = ['benchmark']

#: Batches that are loaded once and used in turn. In every mode each of them is
#: trained on once before anything counts: first steps allocate and tune.
BATCHES = 4
#: Epochs or iterations, more than any benchmark takes.
_FOR_EVER = 10**6


def benchmark(cfg: Config, steps: int = 50) -> StepCost:
    """Measure milliseconds and memory of a step, with a teacher and without.

    Everything happens in one process and on the same few batches, loaded
    beforehand, so that neither the state of the machine nor the data differ;
    nor do the students, whose seed is the same and whose learning rate is 0.
    Two runs are set up: the config's exact baseline, and the config at full
    strength. In a first phase each round takes, in turning order, a step of

    - the baseline,
    - the baseline with the teacher's forward on its batch, as deep as the
      knowledges need and with nothing compared: the least that distilling
      can cost (heads that the teacher runs on the student's own proposals
      are not in it),
    - the distilling run.

    Then the distilling run switches itself off, as at the end of a schedule,
    and in a second phase each round takes a step of the baseline and of the
    run that was switched off. What is left of the teacher would show there,
    because the baseline is a run that never had one; a slower or faster phase
    of the machine would not, because both are measured in the same one.

    A step is that of the training loop, hooks included but for logs and
    checkpoints. With gradient accumulation it is the mean over an update. The
    stop rule is out of it: what it costs comes seldom.

    Args:
        cfg (Config): A config with a ``WeakTeacherDistillHook``.
        steps (int): Rounds of each phase that count. Defaults to 50.

    Returns:
        StepCost: All that was measured.

    Raises:
        ValueError: If the config has no such hook, or ``steps`` is below 1.
    """
    if steps < 1:
        raise ValueError(f'steps should be at least 1, but got {steps}')
    plain, cfg = configs_of_both(cfg)
    _warm_up_device()
    with tempfile.TemporaryDirectory() as folder:
        empty = allocated_mib()
        baseline = Rehearsal(plain, osp.join(folder, 'baseline'))
        baseline.begin()
        # An update is the unit, or one mode might get all of them.
        count = getattr(baseline.runner.optim_wrapper, '_accumulative_counts',
                        1)
        begun = allocated_mib()
        units = [[batch] * count for batch in baseline.batches(BATCHES)]
        batches = allocated_mib() - begun
        for unit in units:
            baseline.train(unit)
        with_baseline = allocated_mib()

        distilling = Rehearsal(cfg, osp.join(folder, 'distilling'))
        hook = distilling.hook
        hook.schedule_cfg = dict(type='Constant', value=1.)
        hook.stop_cfg = dict(type='At', iter=_FOR_EVER)
        distilling.begin()
        for unit in units:
            distilling.train(unit)
        with_both = allocated_mib()
        floor = _Floor(baseline, distilling)
        first = {
            BASELINE: baseline.train,
            FLOOR: floor.train,
            ON: distilling.train
        }
        ms, peak_mib = _rounds(first, units, steps)

        watched = _watch(hook.distiller.teacher.model)
        distilling.train(units[0])
        hook.distiller.schedule = SCHEDULES.build(
            dict(type='Constant', value=0.))
        distilling.train(units[0])
        after_stop = allocated_mib()
        left = sum(ref() is not None for ref in watched)
        second = {AGAIN: baseline.train, OFF: distilling.train}
        for taken, more in zip((ms, peak_mib), _rounds(second, units, steps)):
            taken.update(more)
        facts = _facts(baseline, count, floor.shapes)
    # What each run keeps from step to step, without the batches.
    plain_mib = with_baseline - empty - batches
    kept = {
        BASELINE: plain_mib,
        FLOOR: plain_mib + with_both - after_stop,
        ON: with_both - with_baseline,
        AGAIN: plain_mib,
        OFF: after_stop - with_baseline
    }
    return StepCost(
        ms=ms,
        peak_mib={
            mode: kept[mode] + peak
            for mode, peak in peak_mib.items()
        },
        teacher_parts=len(watched),
        teacher_parts_left=left,
        facts=facts)


def configs_of_both(cfg: Config) -> Tuple[Config, Config]:
    """The exact baseline, and the run; both stand still, and never end."""
    cfg = copy.deepcopy(cfg)
    cfg.log_level = 'WARNING'  # times in the log would be those of all modes
    cfg.train_cfg.update({
        key: _FOR_EVER
        for key in ('max_epochs', 'max_iters') if key in cfg.train_cfg
    })
    # Both students have and keep the same weights, and with them the work that
    # a step is: numbers of proposals, denormal values.
    cfg.merge_from_dict({'randomness.seed': 0})
    if 'optimizer' in cfg.optim_wrapper:
        cfg.optim_wrapper.optimizer.lr = 0.
    plain = copy.deepcopy(cfg)
    try:
        remove_distillation(plain)
    except ValueError:
        raise ValueError('a benchmark measures what WeakTeacherDistillHook '
                         'costs, but this config has none') from None
    return plain, cfg


class _Floor:
    """The baseline's steps with a bare forward of the other run's teacher.

    It takes place where that of a distilling run does: after the student's
    forward, in its precision, while its activations are in memory.
    """

    def __init__(self, baseline: Rehearsal, distilling: Rehearsal) -> None:
        self._baseline, self._hook = baseline, distilling.hook
        self._student = inner_model(baseline.runner.model)
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
        view = distiller.view(batch['inputs'], batch.get('data_samples'),
                              distiller.until)
        for name in distiller.until:
            view[name]  # computed when asked for
        self.shapes.add(tuple(batch['inputs'].shape))


def _rounds(modes: Dict[str, Callable[[Sequence[Any]], Trained]],
            units: Sequence[Sequence[Any]],
            steps: int) -> Tuple[Dict[str, List[float]], Dict[str, float]]:
    """Milliseconds of every mode in every round, and what a step takes.

    The latter is the most of all batches, in MiB beyond what stands.
    """
    names = list(modes)
    ms: Dict[str, List[float]] = {name: [] for name in names}
    for i in range(-len(units), steps):
        unit, first = units[i % len(units)], i % len(names)
        for name in names[first:] + names[:first]:
            taken = modes[name](unit).ms
            if i >= 0:
                ms[name].append(taken)
    # By themselves: on a CPU it makes them slow to be watched.
    peak_mib = {
        name: max(step_peak_mib(partial(train, unit)) for unit in units)
        for name, train in modes.items()
    }
    return ms, peak_mib


def _watch(teacher: nn.Module) -> List[weakref.ref]:
    """Weak references to all that a teacher has, and will compute."""
    parts = [
        weakref.ref(part)
        for part in (*teacher.modules(), *teacher.parameters(),
                     *teacher.buffers())
    ]

    def note(module: nn.Module, inputs: tuple, output: Any) -> None:
        if isinstance(output, Tensor):
            parts.append(weakref.ref(output))

    for module in teacher.modules():
        module.register_forward_hook(note)
    return parts


def _warm_up_device() -> None:
    # What cuBLAS keeps once it was used belongs to none of the modes.
    if torch.cuda.is_available():
        x = torch.ones(8, 8, device='cuda', requires_grad=True)
        (x @ x).sum().backward()


def _facts(baseline: Rehearsal, count: int, shapes: Set[tuple]) -> dict:
    facts = describe_run(baseline.runner)
    for key in ('seed', 'max_epochs', 'max_iters', 'iters_per_epoch'):
        facts.pop(key)  # not those of the config
    return dict(
        facts,
        torch_num_threads=torch.get_num_threads(),
        optim_wrapper=type(baseline.runner.optim_wrapper).__name__,
        accumulative_counts=count,
        batch_shapes=sorted(shapes))


if __name__ == '__main__':  # python -m, by who looks for the tool
    import sys

    from mmw2s.cli import main
    main(['benchmark', *sys.argv[1:]])
