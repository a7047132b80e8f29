# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The first lines of a report: what came out, also where that is a loss."""
from typing import List, NamedTuple, Optional, Tuple

from mmw2s.analysis.comparison import Comparison, Speedup, Target
from mmw2s.analysis.run import UNITS
from mmw2s.analysis.side import Side
from mmw2s.analysis.table import Format
from mmw2s.utils.text import plural
from .content import Report

__all__ = ['Figure', 'answer', 'figures', 'short']


class Figure(NamedTuple):
    """A speed-up to be shown in large type.

    Attributes:
        value (str): The speed-up.
        label (str): To which target.
        cost (str): The medians behind it.
        counted (str): The speed-up with the teacher's training, or ''.
        is_gain (bool): Whether it is one.
    """
    value: str
    label: str
    cost: str
    counted: str
    is_gain: bool


def answer(report: Report) -> List[str]:
    """What a report says, in a few sentences; the first one is the answer."""
    if not report.comparisons:
        return _of_one_side(report)
    name, result = next(iter(report.comparisons.items()))
    if not result.targets:
        return [_final(name, result) or f'{name}: nothing to compare.']
    target = result.targets[0]
    whose = f'{name}: ' if len(report.comparisons) > 1 else ''
    said = [_first(whose, result, target), _counted(result, target)]
    said += [_final(name, result), _fastest(report, name, target)]
    return [sentence for sentence in said if sentence]


def figures(report: Report) -> List[Figure]:
    """The speed-ups of the first setting, target by target."""
    if not report.comparisons:
        return []
    result = next(iter(report.comparisons.values()))
    unit, clock = result.progress_unit, result.counted_unit
    found = []
    for target in result.targets:
        up = result.speedup(target, unit)
        counted = ''
        if clock in result.teacher_units:
            counted = short(result.speedup(target, clock, True))
        found.append(
            Figure(
                short(up), f'to {_share(target)}',
                f'{_costs(result, target, unit)} {UNITS[unit]}', counted,
                up.is_faster))
    return found


def short(up: Speedup) -> str:
    """A speed-up as a few characters."""
    if up.value is None:
        return '\u2013'
    return f'{up.bound}{" " if up.bound else ""}{up.value:.2f}\u00d7'


def _share(target: Target) -> str:
    """'80 %' of a target that is a share, else its value."""
    value, _, share = target.label.partition(' (')
    return f'{share.split("%")[0]} %' if share.endswith(
        '% of baseline)') else value


def _named(target: Target) -> str:
    share = _share(target)
    return f"{share} of the baseline's best" if share.endswith('%') else \
        f'the target of {share}'


def _costs(result: Comparison, target: Target, unit: str) -> str:
    form = Format(result.runs)
    return ' \u2192 '.join(
        'never' if is_bound else form.cost(spent, unit)
        for spent, is_bound in (side.median_cost(target.value, unit)
                                for side in result.sides))


def _first(name: str, result: Comparison, target: Target) -> str:
    unit = result.progress_unit
    (base, base_never), (taught, never) = (
        side.median_cost(target.value, unit) for side in result.sides)
    form = Format(result.runs)
    units = UNITS[unit].rstrip('s') if taught == 1 else UNITS[unit]
    up = result.speedup(target, unit)
    seeds = _seeds(result)
    by_base, by_taught = (_some(side, target) for side in result.sides)
    if never:
        instead = f'the baseline did in {form.cost(base, unit)}'
        if base_never:
            instead = f'of the baseline by {by_base} runs' if by_base else \
                'nor did the baseline'
        text = f'was reached by {by_taught} runs only' if by_taught else \
            f'was never reached in {form.cost(taught, unit)} {units}'
        return f'{name}{_named(target)} {text}; {instead} ({seeds}).'
    text = f'{name}{_named(target)} in {form.cost(taught, unit)} {units}'
    if base_never:
        return f'{text}, which ' + (
            f'{by_base} runs of the baseline reached' if by_base else
            f'the baseline never reached in {form.cost(base, unit)}'
        ) + f' ({seeds}).'
    if up.value == 1:
        return f'{text}, as many as the baseline took ({seeds}).'
    word = '' if up.is_faster else ', which is slower'
    return (f'{text} instead of {form.cost(base, unit)} ({short(up)}'
            f'{word}; {seeds}).')


def _some(side: Side, target: Target) -> str:
    """'1 of 3': how many runs reached a target; '' if none did."""
    reached = side.reached(target.value)
    count = sum(row is not None for row in reached)
    return f'{count} of {len(reached)}' if count else ''


def _seeds(result: Comparison) -> str:
    base, taught = (len(side.runs) for side in result.sides)
    if base == taught:
        return f'{plural(base, "seed")} a side'
    return f'{base} and {plural(taught, "seed")}'


def _counted(result: Comparison, target: Target) -> Optional[str]:
    unit = result.counted_unit
    if unit not in result.teacher_units:
        return None
    up = result.speedup(target, unit, True)
    if up.value is None:
        return None
    told = '' if up.is_faster else ', so no time was saved' if \
        up.is_no_gain else ', so it is not known whether time was saved'
    return (f"With the teacher's own training counted: {short(up)} in "
            f'{UNITS[unit]}{told}.')


def _final(name: str, result: Comparison) -> Optional[str]:
    base, taught = (side.median_best() for side in result.sides)
    if base is None or taught is None:
        return None
    metric = result.metric
    if not all(run.finished for run in result.runs):
        return (f'Not all runs have finished. So far: best {metric} '
                f'{taught:.4g} against {base:.4g}.')
    if base == taught:
        return f'It ends as good as the baseline, at {taught:.4g} {metric}.'
    better = (taught > base) == (result.rule == 'greater')
    return (f'It ends {"better" if better else "worse"} than the baseline: '
            f'best {metric} {taught:.4g} against {base:.4g}.')


def _fastest(report: Report, first: str, target: Target) -> Optional[str]:
    """Another setting that was faster at the first target."""
    ups = {
        name: result.speedup(target, result.progress_unit)
        for name, result in report.comparisons.items()
    }
    known: List[Tuple[float,
                      str]] = [(up.value, name) for name, up in ups.items()
                               if up.value is not None and up.bound != '<']
    if len(ups) < 2 or not known:
        return None
    value, name = max(known)
    if (value, first) in known:  # it is as fast as any other
        return None
    return (f'The fastest of {len(ups)} settings there is {name}, at '
            f'{short(ups[name])}.')


def _of_one_side(report: Report) -> List[str]:
    group = report.baseline or report.groups[0]
    side = report.side(group)
    said, best = [], side.median_best()
    if best is not None:
        count = len(group.runs)
        said.append(f'{group.name}: best {report.metric} {best:.4g}' +
                    (f', median of {count} runs.' if count > 1 else '.'))
    return said + [
        'There is no setting to compare it with.'
        if len(report.groups) == 1 else 'There is no baseline to compare with.'
    ]
