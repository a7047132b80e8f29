# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What each side spent to reach each target, the teacher counted."""
import math
from typing import Any, Dict, List, Mapping, Optional

from .comparison import Comparison, Target
from .run import TIME_UNITS, UNITS
from .side import Side
from .table import NOT_REACHED, Format, Table

__all__ = ['counted_dict', 'counted_table', 'counted_unit']

#: Explains the table, below it.
EXPLAINED = (
    'Medians over the seeds. "+ teacher" adds the whole of the teacher\'s own '
    'training. "Gain" is the baseline\'s cost divided by that on its left. '
    '"Share" is what was spent, the teacher included, of what the baselines '
    'spent on their whole runs; "+ teacher" there says that the cost of the '
    'teacher is not known and comes on top. The final quality is the '
    "baselines' median best, made worse by the spread of their seeds (largest "
    'best minus smallest): what is as good is not told from the baseline.')


def counted_unit(results: Mapping[str, Comparison]) -> str:
    """The unit to count in that all comparisons can be counted in."""
    wanted = [result.counted_unit for result in results.values()]
    known = set.intersection(*(set(r.units) for r in results.values()))
    return next((unit for unit in wanted if unit in known), 'iter')


def counted_table(results: Mapping[str, Comparison]) -> Table:
    """A row for each target and side: its cost alone, and with the teacher.

    Args:
        results (Mapping[str, Comparison]): Name of the setting -> its
            comparison. All have the same baselines and targets.
    """
    first = next(iter(results.values()))
    unit = counted_unit(results)
    form = Format(first.runs)
    head = form.head(unit)
    header = [
        first.metric, 'side', 'reached by', head, 'gain', f'{head} + teacher',
        'gain', 'share'
    ]
    is_counted = any(unit in r.teacher_units for r in results.values())
    targets = list(first.targets)
    targets += [first.final_quality] if first.final_quality else []
    rows = []
    for target in targets:
        rows.append([target.label, 'baseline'] +
                    _cells(first, first.baseline, target, unit, form))
        rows += [[target.label, name] +
                 _cells(result, result.w2s, target, unit, form)
                 for name, result in results.items()]
    title = f'Cost in {UNITS[unit]}'
    if is_counted:
        return Table(f"{title}, and with the teacher's own training added",
                     header, rows)
    header, *rows = (line[:5] + line[-1:] for line in (header, *rows))
    return Table(title, header, rows)


def _cells(result: Comparison, side: Side, target: Target, unit: str,
           form: Format) -> List[str]:
    reached = side.reached(target.value)
    cells = [f'{sum(row is not None for row in reached)} of {len(reached)}']
    spent, is_bound = side.median_cost(target.value, unit)
    cells.append(NOT_REACHED if is_bound else form.cost(spent, unit))
    is_taught = side is not result.baseline
    cells.append(str(result.speedup(target, unit)) if is_taught else '')
    with_teacher = is_taught and unit in result.teacher_units
    if with_teacher:
        added = spent + result.teacher_cost(unit)
        cells += [
            NOT_REACHED if is_bound else form.cost(added, unit),
            str(result.speedup(target, unit, True))
        ]
    else:
        cells += ['', '']
    share = result.share(side, target, unit, with_teacher)
    text = '-' if share is None else f'{share:.0%}'
    if share is not None and not with_teacher and result.owes_teacher(side):
        text += ' + teacher'
    return cells + [text]


def counted_dict(result: Comparison, target: Target) -> Dict[str, Any]:
    """Shares and costs with the teacher of a target, for JSON.

    None means "not reached" or "not known".
    """

    def share(side: Side, unit: str, *args: bool) -> Optional[float]:
        known = unit in (result.teacher_units if args else result.units)
        return result.share(side, target, unit, *args) if known else None

    def added(unit: str) -> Optional[float]:
        spent, is_bound = result.w2s.median_cost(target.value, unit)
        spent += result.teacher_cost(unit)
        return None if is_bound or not math.isfinite(spent) else spent

    return dict(
        share={
            side.name: {
                u: share(side, u)
                for u in UNITS
            }
            for side in result.sides
        },
        share_with_teacher={u: share(result.w2s, u, True)
                            for u in TIME_UNITS} if result.teacher else None,
        median_with_teacher={
            u: added(u) if u in result.teacher_units else None
            for u in TIME_UNITS
        } if result.teacher else None)
