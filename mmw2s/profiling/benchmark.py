# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The cost of distillation in a training step, during and after it."""
import os.path as osp
import tempfile
import weakref
from functools import partial
from typing import (Any, Callable, Dict, List, Mapping, Optional, Sequence,
                    Set, Tuple)

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmw2s.engine.run_facts import describe_run
from .bench_runs import (Floor, OwnTraining, configs_of_both, distilling_run,
                         steps_between, with_teacher_options)
from .memory import allocated_mib, step_peak_mib
from .rehearsal import Rehearsal, Trained
from .step_cost import (AGAIN, BASELINE, FLOOR, OFF, ON, TEACHER, StepCost,
                        option_mode)

__all__ = ['benchmark']

#: Number of batches, which are loaded once and used in turn. Before anything
#: is measured, each mode trains once on each: first steps are slow, because
#: they allocate memory and choose kernels.
BATCHES = 4


def benchmark(cfg: Config,
              steps: int = 50,
              teacher_cfg: Optional[Config] = None,
              teacher_options: Sequence[Mapping[str, Any]] = ()) -> StepCost:
    """Measure time and memory of a step, with and without a teacher.

    Two runs are set up in one process: the baseline of the config, and the
    config at full strength. They differ in nothing else: they share a few
    batches, which are loaded beforehand, and a seed, and the learning rate
    is 0.

    There are two phases. Each round of a phase takes one step in each of its
    modes; the order of the modes rotates from round to round.

    1. Distillation is on. The modes are

       - the baseline;
       - the baseline with the teacher's forward on the batch, as deep as the
         knowledges need, but without heads that run on the student's
         proposals. Nothing is compared. Distillation cannot cost less;
       - the distilling run;
       - that run with other fields of its teacher, once for each of
         ``teacher_options``.

    2. The distilling run has stopped, as at the end of a schedule. The modes
       are the baseline again, and the stopped run. The baseline never had a
       teacher, so a difference would show what is left of it. Both are
       measured in this phase, so a change of the machine's speed since phase
       1 does not matter. A third mode is the teacher's own training, if its
       config is given.

    A step includes all hooks but those for logs and checkpoints. With gradient
    accumulation, or ``every`` of the hook, it is the mean over the steps from
    one update that distills to the next. The stop rule is left out, because it
    acts at validations only.

    The multiply-adds of convolutions and matrix products in a step of phase 1
    are counted too, forward and backward. Operators of mmcv are not.

    Args:
        cfg (Config): A config with a ``WeakTeacherDistillHook``.
        steps (int): Number of measured rounds in each phase. Defaults to 50.
        teacher_cfg (Config, optional): The config that the teacher is trained
            with, for what its own training costs. Defaults to None.
        teacher_options (Sequence[Mapping]): Fields of the hook's ``teacher``
            to be tried. Defaults to none.

    Returns:
        StepCost: The measurements: milliseconds, MiB and multiply-adds.

    Raises:
        TypeError: If a teacher has no such field.
        ValueError: If the config has no such hook, ``steps`` is below 1, or a
            field has a wrong value.

    Examples:
        >>> cfg = Config.fromfile(mmw2s.config('w2s_retinanet_coco.py'))
        >>> benchmark(cfg, 20, teacher_options=[dict(fuse=True)]).print()
    """
    if steps < 1:
        raise ValueError(f'steps should be at least 1, but got {steps}')
    plain, cfg = configs_of_both(cfg)
    others = {
        option_mode(options): with_teacher_options(cfg, options)
        for options in teacher_options
    }
    _warm_up_device()
    with tempfile.TemporaryDirectory() as folder:
        empty = allocated_mib()
        baseline = Rehearsal(plain, osp.join(folder, 'baseline'))
        baseline.begin()
        count = steps_between(baseline, cfg)
        begun = allocated_mib()
        units = [[batch] * count for batch in baseline.batches(BATCHES)]
        batches = allocated_mib() - begun
        for unit in units:
            baseline.train(unit)
        with_baseline = allocated_mib()

        distilling = distilling_run(cfg, osp.join(folder, 'distilling'), units)
        hook = distilling.hook
        with_both = allocated_mib()
        floor = Floor(baseline, distilling)
        first = {
            BASELINE: baseline.train,
            FLOOR: floor.train,
            ON: distilling.train
        }
        kept: Dict[str, float] = {}
        before = with_both
        for i, (mode, other) in enumerate(others.items()):
            first[mode] = distilling_run(other, osp.join(folder, f'{i}'),
                                         units).train
            after = allocated_mib()
            kept[mode], before = after - before, after
        ms, peak_mib = _rounds(first, units, steps)
        gmacs = {
            mode: _gmacs(partial(train, units[0])) / count
            for mode, train in first.items()
        }

        watched = _watch(hook.distiller.teacher.model)
        distilling.train(units[0])
        hook.session.end(distilling.runner, 'the benchmark goes on without',
                         distilling.runner.iter)
        distilling.train(units[0])
        after_stop = allocated_mib() - sum(kept.values())
        left = sum(ref() is not None for ref in watched)
        second = {AGAIN: baseline.train, OFF: distilling.train}
        if teacher_cfg is not None:
            own = OwnTraining(teacher_cfg, osp.join(folder, 'teacher'),
                              BATCHES)
            second[TEACHER] = own.train
        for taken, more in zip((ms, peak_mib), _rounds(second, units, steps)):
            taken.update(more)
        facts = _facts(baseline, count, floor.shapes)
        if teacher_cfg is not None:
            facts.update(own.facts())
    # The memory that each run keeps from step to step, without the batches.
    # What the stop frees is the memory of the teacher.
    plain_mib = with_baseline - empty - batches
    kept.update({
        BASELINE: plain_mib,
        FLOOR: plain_mib + with_both - after_stop,
        ON: with_both - with_baseline,
        AGAIN: plain_mib,
        OFF: after_stop - with_baseline
    })
    if teacher_cfg is not None:
        kept[TEACHER] = own.kept_mib
    return StepCost(
        ms=ms,
        peak_mib={
            mode: kept[mode] + peak
            for mode, peak in peak_mib.items()
        },
        gmacs=gmacs,
        teacher_parts=len(watched),
        teacher_parts_left=left,
        facts=facts)


def _rounds(modes: Dict[str, Callable[[Sequence[Any]], Trained]],
            units: Sequence[Sequence[Any]],
            steps: int) -> Tuple[Dict[str, List[float]], Dict[str, float]]:
    """Measure the steps of one phase.

    Args:
        modes (dict[str, Callable]): Mode -> trains on some batches.
        units (Sequence[Sequence]): The batches of an update, each used in
            turn.
        steps (int): Number of measured rounds.

    Returns:
        tuple: Mode -> milliseconds of each round; mode -> MiB that a step
        needs beyond the memory in use before it, the maximum over all units.
    """
    names = list(modes)
    ms: Dict[str, List[float]] = {name: [] for name in names}
    for i in range(-len(units), steps):
        unit, first = units[i % len(units)], i % len(names)
        for name in names[first:] + names[:first]:
            taken = modes[name](unit).ms
            if i >= 0:
                ms[name].append(taken)
    # Memory is measured in steps of its own: on a CPU the profiler slows them.
    peak_mib = {
        name: max(step_peak_mib(partial(train, unit)) for unit in units)
        for name, train in modes.items()
    }
    return ms, peak_mib


def _gmacs(step: Callable[[], Any]) -> float:
    """Multiply-adds of some steps, in units of 10**9."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 2e9  # a multiply-add is two of them


def _watch(teacher: nn.Module) -> List[weakref.ref]:
    """Weak references to a teacher's modules, tensors and later outputs."""
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
    # At its first use cuBLAS allocates memory that belongs to no mode.
    if torch.cuda.is_available():
        x = torch.ones(8, 8, device='cuda', requires_grad=True)
        (x @ x).sum().backward()


def _facts(baseline: Rehearsal, count: int, shapes: Set[tuple]) -> dict:
    facts = describe_run(baseline.runner)
    for key in ('seed', 'max_epochs', 'max_iters', 'iters_per_epoch'):
        facts.pop(key)  # they are set here, not by the config
    return dict(
        facts,
        torch_num_threads=torch.get_num_threads(),
        optim_wrapper=type(baseline.runner.optim_wrapper).__name__,
        accumulative_counts=count,
        batch_shapes=sorted(shapes))


if __name__ == '__main__':  # for "python -m"
    import sys

    from mmw2s.cli import main
    main(['benchmark', *sys.argv[1:]])
