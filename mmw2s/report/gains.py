# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What each setting gains over the baseline, and how sure that is."""
import math
from typing import Dict, List, Optional, Tuple

from mmw2s.analysis.comparison import Comparison, Target
from mmw2s.analysis.run import UNITS
from mmw2s.analysis.side import Side
from mmw2s.analysis.statistics import (Reach, SpeedUp, break_even,
                                       non_inferiority, paired_speed_up, reach)
from mmw2s.analysis.table import Table
from .answer import short
from .content import Report

__all__ = ['finals', 'gains', 'paired']


def paired(result: Comparison, target: Target, unit: str) -> Optional[SpeedUp]:
    """The speed-up in pairs of the same seed; None if no seed is on both
    sides once."""
    base, taught = (
        _by_seed(result, side, target, unit) for side in result.sides)
    if not set(base) & set(taught):
        return None
    return paired_speed_up(base, taught)


def _by_seed(result: Comparison, side: Side, target: Target,
             unit: str) -> Dict[int, Reach]:
    seeds = [run.facts.get('seed') for run in side.runs]
    return {
        seed: reach(run, result.metric, target.value, result.rule, unit)
        for run, seed in zip(side.runs, seeds)
        if seed is not None and seeds.count(seed) == 1
    }


def gains(report: Report) -> Tuple[Table, List[str]]:
    """A row for each target and setting, and what limits the intervals."""
    rows, notes = [], []
    first = next(iter(report.comparisons.values()))
    unit, clock = report.axes[0].unit, first.counted_unit
    for target in first.targets:
        for name, result in report.comparisons.items():
            up = paired(result, target, unit)
            for note in _limits(up):
                if note not in notes:
                    notes.append(note)
            rows.append([
                target.label.replace(' of baseline', ''), name,
                short(result.speedup(target, unit)), *_interval(up),
                *_counted(result, target, clock)
            ])
    header = [
        first.metric, 'setting', f'gain in {UNITS[unit]}', 'median of pairs',
        '95 % interval', f"gain in {UNITS[clock]}, teacher's training counted",
        'students that pay for the teacher'
    ]
    shown = [
        i for i in range(len(header))
        if i < 3 or any(row[i] != '\u2013' for row in rows)
    ]
    return Table('Speed-up over the baseline', [header[i] for i in shown],
                 [[row[i] for i in shown] for row in rows]), notes


def _limits(up: Optional[SpeedUp]) -> List[str]:
    """What limits the interval of a speed-up, in words."""
    if up is None:
        return []
    notes = [up.note] if up.note else []
    if up.is_open:
        notes.append('an interval from 0 or to inf has runs that never '
                     'reached the target')
    return notes


def _interval(up: Optional[SpeedUp]) -> Tuple[str, str]:
    if up is None:
        return '\u2013', '\u2013'
    text = str(up._replace(interval=None)).replace('x', '\u00d7')
    if up.interval is None:
        return text, '\u2013'
    low, high = up.interval
    return text, f'{low:.2f} to {high:.2f}'


def _counted(result: Comparison, target: Target, unit: str) -> Tuple[str, str]:
    if unit not in result.teacher_units:
        return '\u2013', '\u2013'
    (base, base_never), (taught, never) = (
        side.median_cost(target.value, unit) for side in result.sides)
    gain = short(result.speedup(target, unit, True))
    # What a student saves is not known, or it ended too early to tell.
    if base_never or (never and taught < base):
        return gain, 'not known'
    count = break_even(
        result.teacher_cost(unit), base, math.inf if never else taught)
    return gain, 'never' if count is None else str(count)


def finals(report: Report, margin: float) -> Table:
    """Whether settings end as good as the baseline, up to a margin."""
    rows = []
    for name, result in report.comparisons.items():
        scores = [_finals(side) for side in result.sides]
        found = non_inferiority(*scores, margin, result.rule == 'greater')
        rows.append([
            name, *('\u2013' if x is None else f'{x:+.4g}'
                    for x in (found.difference, found.bound)), found.verdict
        ])
    return Table(
        f'Final {report.metric}: not worse than the baseline by more than '
        f'{margin:.4g}', ['setting', 'difference', 'at least', 'verdict'],
        rows)


def _finals(side: Side) -> Dict[object, Optional[float]]:
    """The last score of each run, by seed, or by name where it has none."""
    seeds = [run.facts.get('seed') for run in side.runs]
    return {
        run.name if seed is None or seeds.count(seed) > 1 else seed:
        run.last(side.metric)
        for run, seed in zip(side.runs, seeds)
    }
