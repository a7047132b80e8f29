# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Show a comparison in the terminal, as Markdown and as JSON."""
import json
import math
import os
import os.path as osp
from statistics import median
from typing import Any, Dict, List, Optional, Sequence, Union

from rich.console import Console

from .compare_runs import compare
from .comparison import Comparison, Target
from .counted import EXPLAINED, counted_dict
from .plots import plot_curves
from .run import TIME_UNITS, UNITS, Run, cost
from .side import Side
from .tables import tables

__all__ = ['to_markdown', 'to_dict', 'print_tables', 'save', 'write_report']


def print_tables(result: Comparison,
                 console: Optional[Console] = None) -> None:
    """Print verdict, tables and notes to the terminal."""
    console = console or Console()
    for table in tables(result):
        table.print(console)
        console.print()
    for line in result.verdict():
        console.print(line, highlight=False, markup=False)
    for note in result.notes:
        console.print(f'Note: {note}', highlight=False, markup=False)


def _setting(result: Comparison) -> List[str]:
    """Hardware and versions of the runs, which every speed claim needs."""
    lines = []
    for run in result.runs + ([result.teacher] if result.teacher else []):
        facts = run.facts
        versions = ', '.join(f'{k} {v}'
                             for k, v in facts.get('versions', {}).items()
                             if v)
        told = [f'config {facts.get("config")}, seed {facts.get("seed")}']
        devices = facts.get('devices')
        if devices:
            told.append(f'{len(devices)} x {devices[0]} '
                        f'({facts.get("cpu_count")} CPU cores, '
                        f'OMP_NUM_THREADS {facts.get("omp_num_threads")})')
        told.append(f'batch {facts.get("batch_size_per_device")} a device')
        lines.append(f'- {run.name}: ' +
                     ', '.join(told + [versions] * bool(versions)))
    return lines


def to_markdown(
    result: Comparison,
    title: str = 'Time to target',
    figures: Sequence[str] = ()) -> str:
    """Write a comparison as Markdown.

    Args:
        result (Comparison): The comparison.
        title (str): The heading.
        figures (Sequence[str]): Paths of figures, relative to the report.

    Returns:
        str: The text.
    """
    parts = [f'# {title}', '\n'.join(f'- {v}' for v in result.verdict())]
    parts += [f'![]({figure})' for figure in figures]
    for table in tables(result):
        parts += [f'## {table.title}', table.to_markdown()]
    parts.append(EXPLAINED)
    parts.append(
        'Epochs and iterations are completed ones at the validation that '
        'first reached the target. "For good": it did so in the validation '
        'after that, too; what only the last validation reached is not '
        'counted. Training time leaves validations out; the '
        'wall clock has everything in it, scoring the teacher included. '
        'Device hours are wall clock times number of devices. "+ teacher" '
        "adds the whole of the teacher's own training. "
        '"Not reached" '
        'counts as infinite in medians and ranges; "> 2x" says that the '
        'baseline had not got there by the end of its run, "< 2x" that the '
        'w2s side had not. w2s: weak-to-strong, trained with a weak teacher.')
    if result.notes:
        parts += ['## Notes', '\n'.join(f'- {n}' for n in result.notes)]
    parts += ['## Setting', '\n'.join(_setting(result))]
    return '\n\n'.join(parts) + '\n'


def to_dict(result: Comparison) -> Dict[str, Any]:
    """All numbers of a comparison, for JSON.

    None means "not reached" or "not known".
    """

    def finite(value: float) -> Optional[float]:
        return value if math.isfinite(value) else None

    def reached(side: Side, value: float) -> Dict[str, Any]:
        costs = {u: side.costs(value, u) for u in UNITS}
        rows, for_good = (side.reached(value, good) for good in (False, True))
        return dict(
            runs=rows,
            runs_for_good=for_good,
            reached_for_good=sum(row is not None for row in for_good),
            reached=sum(row is not None for row in rows),
            median={
                u: finite(median(c))
                for u, c in costs.items()
            },
            range={
                u: [finite(min(c)), finite(max(c))]
                for u, c in costs.items()
            })

    def factor(target: Target, unit: str, *args: bool,
               **kwargs: bool) -> Optional[Dict[str, Any]]:
        if unit not in result.units:
            return None
        speedup = result.speedup(target, unit, *args, **kwargs)
        return dict(speedup._asdict(), text=str(speedup))

    def run(run: Run) -> Dict[str, Any]:
        best = run.best(result.metric, result.rule)
        return dict(
            name=run.name,
            facts=run.facts,
            finished=run.finished,
            best=best and best['metrics'][result.metric],
            final=run.history[-1]['metrics'].get(result.metric),
            total={u: finite(cost(run, run.history[-1], u))
                   for u in UNITS},
            switch_off=run.stop,
            history=run.history)

    def told(t: Target) -> Dict[str, Any]:
        return dict(
            value=t.value,
            label=t.label,
            **{side.name: reached(side, t.value)
               for side in result.sides},
            **counted_dict(result, t),
            speedup={u: factor(t, u)
                     for u in UNITS},
            speedup_for_good={u: factor(t, u, for_good=True)
                              for u in UNITS},
            speedup_with_teacher={
                u: factor(t, u, True) if u in result.teacher_units else None
                for u in TIME_UNITS
            } if result.teacher else None)

    judged, room = result.judge_teacher(), result.head_room()
    return dict(
        metric=result.metric,
        rule=result.rule,
        teacher_score=result.teacher_score(),
        teacher_judged=judged and judged._asdict(),
        verdict=result.verdict(),
        notes=result.notes,
        targets=[told(target) for target in result.targets],
        final_quality=result.final_quality and told(result.final_quality),
        head_room=room and room._asdict(),
        baselines=[run(r) for r in result.baseline.runs],
        w2s=[run(r) for r in result.w2s.runs],
        teacher=run(result.teacher) if result.teacher else None)


def save(result: Comparison,
         out_dir: str,
         title: str = 'Time to target',
         figures: Sequence[str] = (),
         epochs_only: bool = False) -> None:
    """Write ``report.md``, ``report.json`` and ``curves.png``.

    Args:
        result (Comparison): The comparison.
        out_dir (str): The folder; it is created if it does not exist.
        title (str): The heading of the report.
        figures (Sequence[str]): Paths of more figures for the report,
            relative to ``out_dir``.
        epochs_only (bool): See :func:`~mmw2s.analysis.plots.plot_curves`.
            Defaults to False.
    """
    os.makedirs(out_dir, exist_ok=True)
    plot_curves(result, osp.join(out_dir, 'curves.png'), epochs_only)
    text = to_markdown(result, title, ['curves.png', *figures])
    with open(osp.join(out_dir, 'report.md'), 'w', encoding='utf-8') as f:
        f.write(text)
    with open(osp.join(out_dir, 'report.json'), 'w', encoding='utf-8') as f:
        json.dump(to_dict(result), f, indent=1)


def write_report(
    teacher: Union[str, Run],
    baseline: Union[str, Run],
    w2s: Union[str, Run],
    out_dir: str,
    targets: Optional[Sequence[Union[str, float]]] = None,
    metric: Optional[str] = None,
    title: str = 'Time to target',
    figures: Sequence[str] = ()) -> Comparison:
    """Compare one baseline with one w2s run and write the report.

    Args:
        teacher (str | Run): The teacher's own training.
        baseline (str | Run): The student's training without the teacher.
        w2s (str | Run): The student's training with the teacher.
        out_dir (str): See :func:`save`; so are ``title`` and ``figures``.
        targets (Sequence, optional): See :func:`mmw2s.analysis.compare`; so
            is ``metric``.

    Returns:
        Comparison: The comparison.
    """
    result = compare([baseline], [w2s], teacher, targets, metric)
    save(result, out_dir, title, figures)
    return result
