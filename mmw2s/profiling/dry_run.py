# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Try a config on a few batches, before a long training."""
import tempfile
from contextlib import contextmanager
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.knowledge import Pair
from mmw2s.distillation.terms import Term
from mmw2s.engine.hooks import WeakTeacherDistillHook
from mmw2s.engine.target_check import warnings_of_targets
from mmw2s.registry import SCHEDULES
from .memory import allocated_mib, step_peak_mib
from .rehearsal import NothingDistilled, Rehearsal

__all__ = ['dry_run', 'noted_pairs']


def dry_run(cfg: Config, console: Optional[Console] = None) -> None:
    """Run a few training steps of a config and print what they do.

    Prints the pairs (module, level, shape), the value of every loss at full
    strength, the teacher's score, the end of the distillation, all fields of
    the hook with their defaults, and milliseconds and peak memory of a step
    with and without the teacher. Where nothing is distilled, what the student
    begins with. Writes nothing into the work_dir.

    Args:
        cfg (Config): A config with a ``WeakTeacherDistillHook``.
        console (Console, optional): Where to print. Defaults to None, the
            terminal.

    Raises:
        ValueError: If the config has no such hook, or its stop rule ends the
            distillation within three steps.

    Examples:
        >>> dry_run(Config.fromfile(mmw2s.config('w2s_retinanet_coco.py')))
    """
    console = console or Console()
    with tempfile.TemporaryDirectory() as work_dir:
        run = Rehearsal(cfg, work_dir)
        if run.hook is None:
            raise ValueError('a dry run shows what WeakTeacherDistillHook '
                             'does, but this config has none')
        try:
            run.begin()
        except NothingDistilled:
            console.print(str(run.hook.session.starting))
            console.print('Nothing is distilled (distill=[]): each step is '
                          'that of the baseline.')
            return
        hook = run.hook
        # Full strength from the first step on, whatever the schedules say.
        hook.distiller.schedule = SCHEDULES.build(
            dict(type='Constant', value=1.))
        hook.distiller.terms = [
            term._replace(schedule=None) for term in hook.distiller.terms
        ]
        hook.distiller.every = 1  # and each step
        stopwatch = hook.distiller.teacher.stopwatch
        first, second, third = run.batches(3)
        # The first step is not timed: it allocates memory, chooses kernels and
        # records every pair.
        with noted_pairs(hook.distiller) as noted:
            trained = run.train([first])
        losses = {k: v.item() for k, v in trained.losses.items()}
        rows = [_row(one) for ones in noted.values() for one in ones]
        on, teacher_ms = run.train([second]), stopwatch.ms
        on_mib = allocated_mib() + step_peak_mib(lambda: run.train([second]))
        if hook.distiller is None:
            raise ValueError('the stop rule of this config ends the '
                             'distillation within its first three steps')
        hook.session.close(run.runner)  # as at a stop, but without a log line
        off = run.train([third])
        off_mib = allocated_mib() + step_peak_mib(lambda: run.train([third]))

    _print_losses(console, rows, losses)
    _print_teacher(console, hook, run.runner)
    if hook.session.starting.started is not None:
        console.print(str(hook.session.starting))
    _print_fields(console, hook)
    console.print(f'A step takes {on.ms:.0f} ms with the teacher (its forward '
                  f'{teacher_ms:.0f} ms) and {off.ms:.0f} ms without.')
    console.print(f'Peak memory: {on_mib:.0f} MiB with the teacher, '
                  f'{off_mib:.0f} MiB without.')
    others = [one.fields.name for one in run.hooks if one is not hook]
    if others:
        console.print(f'This is {hook.fields.name} alone; {", ".join(others)} '
                      'were built too.')
    console.print('Nothing was saved, but the teacher\'s score for later '
                  'runs.')


class Measured(NamedTuple):
    """What one pair came to."""
    key: str
    pair: Pair
    value: float


@contextmanager
def noted_pairs(distiller: Distiller) -> Iterator[Dict[str, List[Measured]]]:
    """Note the pairs of the latest batch, and what their losses come to.

    Yields:
        dict[str, list[Measured]]: By the key of the entry.
    """
    noted: Dict[str, List[Measured]] = {}
    compare = distiller.compare

    def noting(term: Term, pairs: Sequence[Pair]) -> List[Tensor]:
        losses = compare(term, pairs)
        noted[term.key] = [
            Measured(term.key, pair, loss.item())
            for pair, loss in zip(pairs, losses)
        ]
        return losses

    distiller.compare = noting  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        del distiller.compare


def _row(measured: Measured) -> Tuple[str, ...]:
    pair = measured.pair
    return (measured.key, pair.name, ' x '.join(map(str, pair.student.shape)),
            f'{measured.value:.4f}')


def _print_losses(console: Console, rows: Sequence[tuple],
                  losses: Dict[str, float]) -> None:
    table = Table(title='Pairs matched on one batch, at full strength')
    for column in ('loss', 'student and teacher', 'shape', 'value'):
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print('Losses of the batch: ' +
                  ', '.join(f'{key} {value:.4f}'
                            for key, value in losses.items()))


def _print_fields(console: Console, hook: WeakTeacherDistillHook) -> None:
    console.print(
        f'Distillation would be on {hook.session.until}. In full:\n'
        f'{hook.session.in_full()}',
        markup=False,
        highlight=False,
        soft_wrap=True)


def _print_teacher(console: Console, hook: WeakTeacherDistillHook,
                   runner: Runner) -> None:
    teacher, = hook.record.of('teacher')
    if teacher['score'] is None:
        return
    cfg = hook.fields.teacher
    declared = cfg.get('score') if isinstance(cfg, dict) else None
    console.print(
        f'Teacher {teacher["name"]}: {teacher["metric"]} = '
        f'{teacher["score"]:.4f}' +
        ('' if declared is None else f', declared as {declared:.4f}'))
    for line in warnings_of_targets(runner, teacher['metrics']):
        console.print(line)


if __name__ == '__main__':  # for "python -m"
    import sys

    from mmw2s.cli import main
    main(['dry-run', *sys.argv[1:]])
