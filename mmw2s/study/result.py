# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a study shows: tables, in Markdown and as JSON."""
import json
import math
from statistics import mean, median
from typing import Any, Dict, List, Optional

from mmw2s.analysis.comparison import Target
from mmw2s.analysis.notes import notes_on_records
from mmw2s.analysis.run import UNITS
from mmw2s.analysis.statistics import Reach, SpeedUp, break_even, median_reach
from mmw2s.analysis.table import NOT_REACHED, Format, Table
from mmw2s.utils.files import atomic_write
from .arms import ARMS, BASELINE
from .frozen import Frozen
from .numbers import Numbers
from .plan import Plan
from .teachers import choice_of

__all__ = ['Result']

#: In which the teacher's training is counted.
CLOCK = 'wall_seconds'


class Result:
    """The comparison of all arms with the baseline, as far as there are runs.

    Args:
        plan (Plan): The study.
        frozen (Frozen): What was fixed, and its amendments.
        problems (dict[str, str], optional): Run or arm -> why it is missing.
    """

    def __init__(self,
                 plan: Plan,
                 frozen: Frozen,
                 problems: Optional[Dict[str, str]] = None) -> None:
        self.plan, self.frozen = plan, frozen
        self.problems = problems or {}
        self.numbers = Numbers(plan)
        self.runs = self.numbers.runs
        every = [run for runs in self.runs.values() for run in runs.values()]
        self.format = Format(every) if every else None

    # -- tables ----------------------------------------------------------

    def tables(self) -> List[Table]:
        """All tables, in their order."""
        if not self.format:
            return [self._arms()]
        return [
            self._arms(),
            self._reached(),
            self._final(), *([self._counted()] if self._has_clock else [])
        ]

    @property
    def _has_clock(self) -> bool:
        return all(
            run.knows(CLOCK) for runs in self.runs.values()
            for run in runs.values())

    def _arms(self) -> Table:
        rows = []
        for arm in self.plan.arms:
            like = self.plan.study.like(arm)
            own = '' if like == arm else f'of this study, like {like}: '
            wanted = self.plan.study.seeds_of(arm)
            teacher = choice_of(self.plan,
                                self.plan.teacher_of(arm) or '') or {}
            score = teacher.get('score')
            rows.append([
                arm, own + ARMS[like].why,
                f'{len(self.runs[arm])} of {len(wanted)}',
                '' if score is None else f'{score:.4g}'
            ])
        return Table('Arms',
                     ['arm', 'what it separates', 'finished', 'its teacher'],
                     rows)

    def _reached(self) -> Table:
        unit = UNITS[self.numbers.unit]
        rows = []
        for target in self.numbers.targets:
            for arm in self.plan.arms:
                if not self.runs[arm]:
                    continue
                first, stays = (
                    self.numbers.cell(arm, target, self.numbers.unit, for_good)
                    for for_good in (False, True))
                rows.append([
                    target.label, arm,
                    *self._median(first.reaches, self.numbers.unit),
                    _text(first.speed_up),
                    self._median(stays.reaches, self.numbers.unit)[1],
                    _text(stays.speed_up)
                ])
        return Table(
            f'{unit.capitalize()} to each target of '
            f'{self.plan.study.metric}', [
                'target', 'arm', 'reached', f'{unit}, median (range)',
                'speed-up (interval)', 'for good', 'speed-up'
            ], rows)

    def _final(self) -> Table:
        study, rows = self.plan.study, []
        for arm in self.plan.arms:
            if not self.runs[arm]:
                continue
            scores = [
                x for x in self.numbers.finals(arm).values() if x is not None
            ]
            found = self.numbers.not_worse(arm)
            best = [
                run.best(study.metric, study.rule)['metrics'][study.metric]
                for run in self.runs[arm].values() if run.rows(study.metric)
            ]
            rows.append([
                arm, f'{mean(scores):.4g} ({min(scores):.4g} to '
                f'{max(scores):.4g})' if scores else '-',
                f'{median(best):.4g}' if best else '-', '' if found is None
                or found.difference is None else f'{found.difference:+.4g}',
                '' if found is None or found.bound is None else
                f'{found.bound:+.4g}', '' if found is None else found.verdict
            ])
        return Table(
            f'Final {study.metric}, and whether it is not worse by '
            f'{study.margin:g} or more', [
                'arm', 'last validation, mean (range)', 'best, median',
                'better than the baseline by', 'at least (95 %)', 'not worse'
            ], rows)

    def _counted(self) -> Table:
        rows, head = [], self.format.head(CLOCK)
        for target in self.numbers.targets:
            for arm in self.plan.arms:
                if not self.runs[arm]:
                    continue
                cell = self.numbers.cell(arm, target, CLOCK)
                rows.append([
                    target.label, arm,
                    self._median(cell.reaches, CLOCK)[1],
                    _text(cell.speed_up),
                    self._median(cell.counted, CLOCK)[1],
                    _text(cell.counted_speed_up),
                    self._break_even(arm, target)
                ])
        return Table(
            f'{UNITS[CLOCK].capitalize()}, with the teacher\'s own '
            'training', [
                'target', 'arm', f'{head}, median (range)',
                'speed-up (interval)', f'{head} with the teacher', 'speed-up',
                'students that pay for it'
            ], rows)

    def _median(self, reaches: Dict[int, Reach], unit: str) -> List[str]:
        if not reaches:
            return ['-', '-']
        found = median_reach(list(reaches.values()))
        text = self.format.cost(found.value, unit)
        if not found.reached:
            text = f'> {text}'
        if found.of > 1:
            slowest = NOT_REACHED if math.isinf(
                found.slowest) else self.format.cost(found.slowest, unit)
            fastest = NOT_REACHED if math.isinf(
                found.fastest) else self.format.cost(found.fastest, unit)
            text += f' ({fastest} to {slowest})'
        return [f'{found.count} of {found.of}', text]

    def _break_even(self, arm: str, target: Target) -> str:
        cost = self.numbers.teacher_cost(arm, CLOCK)
        if arm == BASELINE or self.plan.teacher_of(arm) is None:
            return ''
        base, own = (
            median_reach(
                list(self.numbers.reaches(one, target, CLOCK).values()))
            if self.runs[one] else None for one in (BASELINE, arm))
        if cost is None or base is None or own is None or not base.reached:
            return 'not known'
        if not own.reached and own.value < base.value:
            return 'not known'  # it ended too early to tell
        students = break_even(cost, base.value,
                              own.value if own.reached else math.inf)
        return 'none do' if students is None else str(students)

    def notes(self) -> List[str]:
        """What was fixed, changed and is missing, and what limits the
        numbers."""
        found = self.frozen.lines()
        found += [self.numbers.waiting] if self.numbers.waiting else []
        for target in self.numbers.targets:
            for arm in self.plan.arms:
                cell = self.numbers.cell(arm, target, self.numbers.unit) if \
                    self.runs[arm] else None
                note = cell and cell.speed_up and cell.speed_up.note
                if note:
                    found.append(f'Intervals of speed-ups: {note}.')
        found.append(
            'Speed-ups are medians of ratios of the same seed, with a 95 % '
            'bootstrap interval. A run that never reached a target counts as '
            'one that would have needed longer than it was. "For good" is the '
            'first validation from which on all reached the target. A 0 in '
            'its interval says that some runs never did.')
        for arm in self.plan.arms:
            if self.plan.teacher_of(arm) and self.runs[arm] and \
                    self.numbers.teacher_cost(arm, CLOCK) is None:
                found.append(f'{arm}: what the training of its teacher has '
                             'cost is not known, and not counted.')
        for arm in self.plan.arms:
            both = self.runs[BASELINE], self.runs[arm]
            if all(both) and not {*both[0]} & {*both[1]}:
                found.append(f'{arm}: no speed-up is told, because none of '
                             'its seeds has finished in the baseline too.')
        found += notes_on_records(
            [run for runs in self.runs.values() for run in runs.values()])
        missing = [
            stage.name for arm in self.plan.arms
            for stage in self.plan.runs(arm).values() if not stage.is_done
        ]
        if missing:
            found.append(f'Not finished: {", ".join(missing)}.')
        found += [f'{name}: {why}' for name, why in self.problems.items()]
        return list(dict.fromkeys(found))

    # -- files -----------------------------------------------------------

    def to_markdown(self) -> str:
        """All of it as a page."""
        lines = [f'# Study of {self.plan.study.student}', '']
        for line in self.frozen.lines():
            lines += [f'**{line}**' if 'AMENDED' in line else line, '']
        for table in self.tables():
            lines += [f'## {table.title}', '', table.to_markdown(), '']
        lines += ['## Notes', '']
        lines += [f'- {note}' for note in self.notes()]
        return '\n'.join(lines) + '\n'

    def to_dict(self) -> Dict[str, Any]:
        """All of it for JSON; what is infinite or unknown is None there."""
        fixed = {
            key: value
            for key, value in self.frozen.content.items() if key != 'fixed'
        }
        return dict(
            frozen=fixed,
            **self.numbers.to_dict(),
            problems=self.problems,
            notes=self.notes())

    def save(self) -> None:
        """Write ``study_result.json`` and ``study_result.md``."""
        with atomic_write(self.plan.path('study_result.json')) as file:
            json.dump(self.to_dict(), file, indent=1)
        with atomic_write(self.plan.path('study_result.md')) as file:
            file.write(self.to_markdown())

    def print(self) -> None:
        """Print tables and notes."""
        for table in self.tables():
            table.print()
        for note in self.notes():
            print(note)


def _text(found: Optional[SpeedUp]) -> str:
    return '' if found is None else str(found)
