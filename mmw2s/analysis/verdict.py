# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a comparison says, in sentences."""
from typing import TYPE_CHECKING, List, Optional, Sequence

from mmw2s.utils.text import plural
from .run import UNITS

if TYPE_CHECKING:
    from .comparison import Comparison, Speedup

__all__ = ['sentences']


def sentences(result: 'Comparison') -> List[str]:
    """The result in sentences; says so if there is no speed-up."""
    total, said, sooner, no_gain = len(result.targets), [], [], []
    clock, progress = result.clock_unit, result.progress_unit
    kinds = [(progress, False)]
    kinds += [(clock, False)] if clock else []
    kinds += [(clock, True)] if clock in result.teacher_units else []
    for unit, with_teacher in kinds:
        name = UNITS[unit] + (" with the teacher's own training added"
                              if with_teacher else '')
        ups = [result.speedup(t, unit, with_teacher) for t in result.targets]
        sooner.append(sum(up.is_faster for up in ups))
        no_gain.append(all(up.is_no_gain for up in ups))
        said.append(f'In {name}: sooner at {sooner[-1]} of '
                    f'{plural(total, "target")} ({_each(result, ups)}).')
    for_good = [
        result.speedup(t, progress, for_good=True) for t in result.targets
    ]
    said.append(f'In {UNITS[progress]} until reached for good (in two '
                'validations in a row): sooner at '
                f'{sum(up.is_faster for up in for_good)} of '
                f'{plural(total, "target")} ({_each(result, for_good)}).')
    saved = sooner[1] if clock else sooner[0]
    if not sooner[0] and not saved:
        said.insert(0, 'No speed-up was measured.')
    elif not saved:
        no_time = 'no time was saved' if no_gain[1] else \
            'it is not known whether time was saved'
        said.insert(0, f'Fewer {UNITS[progress]} were needed, but {no_time}.')
    return said + [
        line for line in (_final_quality(result), _teacher(result),
                          _head_room(result), _best(result)) if line
    ]


def _each(result: 'Comparison', speedups: Sequence['Speedup']) -> str:
    return ', '.join(f'{up} at {t.value:.4g}'
                     for up, t in zip(speedups, result.targets))


def _final_quality(result: 'Comparison') -> Optional[str]:
    target = result.final_quality
    if target is None:
        return None
    unit, runs = result.counted_unit, result.w2s.runs
    reached = sum(row is not None for row in result.w2s.reached(target.value))
    text = (f"Final quality ({target.value:.4g}: the baseline's median best, "
            'made worse by the spread of its seeds): reached by '
            f'{reached} of {plural(len(runs), "weak-to-strong run")}')
    share = result.share(result.w2s, target, unit)
    if share is None:
        return f'{text}.'
    text += f", after {share:.0%} of the baseline's whole {UNITS[unit]}"
    if unit in result.teacher_units:
        counted = result.share(result.w2s, target, unit, True)
        text += f", {counted:.0%} with the teacher's own training added"
    return f'{text}.'


def _teacher(result: 'Comparison') -> Optional[str]:
    judged = result.judge_teacher()
    return judged and (
        f'Teacher: {result.metric} {result.teacher_score():.4g} '
        f"against the baseline's best of {result.baseline.median_best():.4g}: "
        f'{judged}.')


def _head_room(result: 'Comparison') -> Optional[str]:
    found = result.head_room()
    return found and found.sentence()


def _best(result: 'Comparison') -> Optional[str]:
    base, w2s = (side.median_best() for side in result.sides)
    if base is None or w2s is None:
        return None
    worse = w2s < base if result.rule == 'greater' else w2s > base
    # What has not finished has no final quality yet.
    worse = worse and all(run.finished for run in result.runs)
    return (f'Best {result.metric} (median): baseline {base:.4g}, '
            f'weak-to-strong {w2s:.4g}' +
            (': the final quality is lower.' if worse else '.'))
