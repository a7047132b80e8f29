# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The tables of a comparison, with cells of text for every output format."""
from statistics import median
from typing import List, Optional

from .comparison import Comparison, Target
from .counted import counted_table
from .run import cost
from .table import FOR_GOOD, Format, Table

__all__ = ['Table', 'tables']


def _summary(result: Comparison, form: Format) -> Table:
    """Medians and speed-ups, one row for each target."""
    progress, clock = result.progress_unit, result.clock_unit
    units = [progress] + [
        u for u in ('train_seconds', 'wall_seconds') if u in result.units
    ]
    # "For good" beside it shows whether one noisy validation made the target.
    columns = [(progress, False), (progress, True)]
    columns += [(unit, False) for unit in units[1:]]
    header = [result.metric] + [
        FOR_GOOD.format(form.head(u)) if for_good else form.head(u)
        for u, for_good in columns
    ]
    with_teacher = clock in result.teacher_units
    if with_teacher:
        header.append(f'{clock.split("_")[0]} + teacher')
    rows = []
    for target in result.targets:
        row = [target.label]
        for unit, for_good in columns:
            pair = [
                form.cost(
                    median(side.costs(target.value, unit, for_good)), unit)
                for side in result.sides
            ]
            speedup = result.speedup(target, unit, for_good=for_good)
            row.append(f'{" -> ".join(pair)}: {speedup}')
        if with_teacher:
            row.append(str(result.speedup(target, clock, True)))
        rows.append(row)
    return Table(
        'Median cost of reaching a target, baseline -> w2s: '
        'speed-up', header, rows)


def _target_table(result: Comparison, target: Target, form: Format) -> Table:
    """When each run first reached the target, and when for good."""
    units, progress = result.units, result.progress_unit
    rows = []
    for side in result.sides:
        columns = {u: side.costs(target.value, u) for u in units}
        for_good = side.costs(target.value, progress, True)
        rows_reached = side.reached(target.value)
        for i, (run, reached) in enumerate(zip(side.runs, rows_reached)):
            rows.append([
                side.name,
                run.name,
                str(run.facts.get('seed', '')),
                *form.costs({
                    u: c[i]
                    for u, c in columns.items()
                }),
                _score(reached['score'] if reached else None),
                form.cost(for_good[i], progress),
            ])
        if len(side.runs) > 1:
            for name, take in (('median', median), ('min', min), ('max', max)):
                taken = {u: take(c) for u, c in columns.items()}
                rows.append([
                    side.name, name, '', *form.costs(taken), '',
                    form.cost(take(for_good), progress)
                ])
    rows.append([
        'speed-up', 'of medians', '',
        *(str(result.speedup(target, u)) for u in units), '',
        str(result.speedup(target, progress, for_good=True))
    ])
    if result.teacher_units:
        rows.append(['speed-up', '+ teacher', ''] + [
            str(result.speedup(target, u, True)) if u in
            result.teacher_units else '' for u in units
        ] + ['', ''])
    header = ['side', 'run', 'seed'] + [form.head(u) for u in units]
    header += ['score', FOR_GOOD.format(form.head(progress))]
    return Table(f'First at {result.metric} of {target.label}', header, rows)


def _quality_table(result: Comparison, form: Format) -> Table:
    """Best and final score, total cost and stop of each run."""
    progress = result.progress_unit
    units = [progress] + [
        u for u in ('train_seconds', 'wall_seconds') if u in result.units
    ]
    groups = [(side.name, side.runs) for side in result.sides]
    if result.teacher:
        groups.append(('teacher', [result.teacher]))
    rows = []
    for title, runs in groups:
        for run in runs:
            best = run.best(result.metric, result.rule)
            last, stop = run.history[-1], run.stop
            rows.append([
                title, run.name,
                _score(best and best['metrics'][result.metric]) +
                (f' @ {form.cost(cost(run, best, progress), progress)}'
                 if best else ''),
                _score(last['metrics'].get(result.metric))
            ] + [form.cost(cost(run, last, u), u) for u in units] + [
                f'epoch {stop["epoch"]:.4g}: {stop.get("reason", "")}'
                if stop and 'epoch' in stop else '-'
            ])
    header = ['side', 'run', f'best @ {form.head(progress)}', 'final'
              ] + [form.head(u) for u in units]
    return Table(f'{result.metric} and length of the whole runs',
                 header + ['distilled until'], rows)


def _score(score: Optional[float]) -> str:
    return '-' if score is None else f'{score:.4g}'


def tables(result: Comparison) -> List[Table]:
    """The summary, the teacher counted, each target, and the quality."""
    form = Format(result.runs)
    return [
        _summary(result, form),
        counted_table({result.w2s.name: result}),
        *(_target_table(result, t, form) for t in result.targets),
        _quality_table(result, form)
    ]
