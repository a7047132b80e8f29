# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The rows behind the charts of a report, for all metrics and axes."""
import math
from typing import Any, Dict, List, NamedTuple, Sequence

from mmw2s.analysis.comparison import Target
from mmw2s.analysis.curves import Curve, Plane, switched_off_at
from mmw2s.analysis.side import Side
from .content import Report
from .groups import Group

__all__ = ['COUNT', 'TEACHER', 'bar_rows', 'curve_rows', 'cut', 'level_rows']

#: The name of the line of the teachers' own trainings.
TEACHER = "the teacher's own training"
#: A curve of more points is thinned out.
COUNT = 150

Rows = List[Dict[str, Any]]


class _Line(NamedTuple):
    """Runs that are drawn as one line."""
    name: str
    piece: int
    group: Group
    runs: Sequence


def curve_rows(report: Report) -> Rows:
    """A row for each point of a curve, and for each end of a distillation.

    ``m`` is the metric, ``g`` the group, ``p`` the piece of its line, ``y``,
    ``lo`` and ``hi`` median and range, ``off`` whether it is an end. The keys
    of the axes hold x, with the teacher's cost where it is counted; the
    training of a teacher has x on that axis alone.
    """
    rows: Rows = []
    for metric in report.metrics:
        for line in _lines(report, metric):
            rows += _points(report, metric, line)
    return rows


def _lines(report: Report, metric: str) -> List[_Line]:
    lines = []
    for group in report.groups:
        runs = [run for run in group.runs if run.rows(metric)]
        if not runs:
            continue
        together = Plane(metric, 'iter').curve(runs).x
        parts = [runs] if together else [[run] for run in runs]
        lines += [
            _Line(group.name, i, group, part) for i, part in enumerate(parts)
        ]
    return lines + [
        _Line(TEACHER, i, Group(TEACHER), [run])
        for i, run in enumerate(report.teachers()) if run.rows(metric)
    ]


def _points(report: Report, metric: str, line: _Line) -> Rows:
    is_teacher = line.name == TEACHER
    axes = [axis for axis in report.axes if axis.counted or not is_teacher]
    found = {}
    for axis in axes:
        if is_teacher and not line.runs[0].knows(axis.unit):
            continue
        plane = Plane(metric, axis.unit, axis.scale)
        found[axis.key] = plane.curve(
            line.runs, line.group.teacher if axis.counted else None)
    if not found:
        return []
    curve = next(iter(found.values()))
    about = dict(m=metric, g=line.name, p=line.piece)
    rows = [
        dict(
            about,
            y=cut(curve.y[i]),
            lo=cut(curve.low[i]),
            hi=cut(curve.high[i]),
            **{
                key: cut(c.x[i])
                for key, c in found.items()
            }) for i in _kept(curve)
    ]
    ends = switched_off_at(line.runs)
    for i, (_, y) in enumerate(curve.at(ends)):
        rows.append(
            dict(
                about,
                y=cut(y),
                off=1,
                **{
                    key: cut(c.at(ends)[i][0])
                    for key, c in found.items()
                }))
    return rows


def _kept(curve: Curve) -> Sequence[int]:
    """The points of a curve that are drawn: the best and the last are."""
    count = len(curve.x)
    if count <= COUNT:
        return range(count)
    best = {curve.y.index(max(curve.y)), curve.y.index(min(curve.y))}
    return sorted({round(i * (count - 1) / (COUNT - 1))
                   for i in range(COUNT)} | best)


def level_rows(report: Report) -> Rows:
    """Targets and teachers' scores: lines of one height."""
    rows = []
    for metric in report.metrics:
        rows += [
            dict(m=metric, y=target.value, kind='target', text=_short(target))
            for target in report.targets[metric]
        ]
        rows += [
            dict(
                m=metric,
                y=score,
                kind='teacher',
                text=f'teacher {score:.4g}',
                # Side by side, as the heights of two may be alike.
                at=4 + 90 * i)
            for i, score in enumerate(report.teacher_scores(metric))
        ]
    return rows


def _short(target: Target) -> str:
    value, _, share = target.label.partition(' (')
    return share.split('%')[0] + ' %' if '%' in share else value


def bar_rows(report: Report) -> Rows:
    """A row for each target and group: its cost on each axis.

    On an axis of key k, ``k`` is the median, ``k:lo`` and ``k:hi`` the range,
    ``k:t`` the cost in words. ``never`` is 1 where half of the runs or more
    did not get there; the bar then ends where they did.
    """
    rows: Rows = []
    for metric in report.metrics:
        for target in report.targets[metric]:
            for group in report.groups:
                side = report.side(group, metric)
                rows.append(
                    dict(
                        m=metric,
                        target=target.label.replace(' of baseline', ''),
                        g=group.name,
                        **_costs(report, side, group, target.value)))
    return rows


def _costs(report: Report, side: Side, group: Group,
           value: float) -> Dict[str, Any]:
    reached = side.reached(value)
    count = sum(row is not None for row in reached)
    cells: Dict[str, Any] = dict(
        n=f'{count} of {len(reached)}',
        never=int(side.median_cost(value, report.axes[0].unit)[1]))
    for axis in report.axes:
        added = Plane(side.metric, axis.unit, axis.scale).begin(
            group.teacher) if axis.counted else 0.
        spent, is_bound = side.median_cost(value, axis.unit)
        if not math.isfinite(spent):
            continue
        spent = spent / axis.scale + added
        ends = side.costs(value, axis.unit)
        # A run that never got there is open: its bar ends where it did.
        whole = side.total(axis.unit) / axis.scale + added
        low, high = (take(ends) / axis.scale + added for take in (min, max))
        cells[axis.key] = cut(spent)
        if len(ends) > 1 and not is_bound:
            cells[f'{axis.key}:lo'] = cut(low)
            cells[f'{axis.key}:hi'] = cut(
                high if math.isfinite(high) else max(whole, spent))
        cells[f'{axis.key}:t'] = _told(spent, is_bound, low, high)
    return cells


def _told(spent: float, is_bound: bool, low: float, high: float) -> str:
    if is_bound:
        # Some runs may have got there: half of them or more did not.
        never = '>' if math.isfinite(low) else 'never in'
        return f'{never} {_number(spent)} \u2192'
    text = _number(spent)
    if low < high:
        text += f' ({_number(low)}\u2013{_number(high)})'
    return text


def _number(value: float) -> str:
    return f'{value:.3g}' if value < 100 else f'{value:.0f}' \
        if math.isfinite(value) else 'never'


def cut(value: float) -> float:
    """A number with six digits, as a page shows none with more."""
    return float(f'{value:.6g}')
