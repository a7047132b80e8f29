# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare several settings of a distillation with the same baselines."""
import json
import math
import os
import os.path as osp
from dataclasses import dataclass
from statistics import median
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from .compare_runs import compare, load_runs
from .comparison import Comparison, Target
from .counted import EXPLAINED, counted_table
from .pace import Pace
from .plots import plot_settings
from .report import to_dict
from .run import UNITS, Run
from .side import Side
from .strength_plot import plot_teacher_strength, teacher_share
from .table import Table

__all__ = [
    'SettingsTable', 'compare_settings', 'plot_teacher_strength', 'save'
]


@dataclass
class SettingsTable:
    """The result of :func:`compare_settings`.

    Args:
        comparisons (dict[str, Comparison]): Name of the setting -> comparison.
        unit (str): Unit of the cost of a target, ``'epoch'`` or ``'iter'``.
            Defaults to ``'epoch'``.
    """
    comparisons: Dict[str, Comparison]
    unit: str = 'epoch'

    @property
    def first(self) -> Comparison:
        """The first comparison, for what is the same in all."""
        return next(iter(self.comparisons.values()))

    def table(self) -> Table:
        """A table with one row for each setting.

        For each target it has the epochs or iterations, median (minimum to
        maximum) over seeds, and the speed-up of the medians. Best and last
        score are medians too. The column "teacher" has the teacher's score as
        a share of the best of the baselines.
        """
        first = self.first
        metric = first.metric
        header = ['setting', 'seeds', 'teacher']
        header += [t.label.replace(' of baseline', '') for t in first.targets]
        header += ['best', 'last', 'off at']
        rows = [['baseline', str(len(first.baseline.runs)), ''] +
                [self._cost(first.baseline, t)
                 for t in first.targets] + [*_quality(first.baseline), '']]
        for name, result in self.comparisons.items():
            share = teacher_share(result)
            rows.append([
                name,
                str(len(result.w2s.runs)), '' if share is
                None else f'{share:.2f}'
            ] + [
                f'{self._cost(result.w2s, t)}: '
                f'{result.speedup(t, self.unit)}' for t in result.targets
            ] + [*_quality(result.w2s),
                 self._switch_off(result.w2s.runs)])
        title = f'{UNITS[self.unit].capitalize()} to targets of {metric}'
        return Table(title, header, rows)

    def _cost(self, side: Side, target: Target) -> str:
        costs = side.costs(target.value, self.unit)
        text = _number(median(costs))
        if len(costs) > 1:
            text += f' ({_number(min(costs))}-{_number(max(costs))})'
        return text

    def _switch_off(self, runs: List[Run]) -> str:
        points = sorted(run.stop[self.unit] for run in runs
                        if run.stop and self.unit in run.stop)
        if not points:
            return 'never'
        text = _number(median(points))
        if points[0] != points[-1]:
            text += f' ({_number(points[0])}-{_number(points[-1])})'
        return text if len(points) == len(runs) else \
            f'{text}, {len(runs) - len(points)} never'

    def counted_table(self) -> Table:
        """What each setting cost, alone and with the teacher's training."""
        return counted_table(self.comparisons)

    def to_markdown(self) -> str:
        """The tables and all notes on the runs, each note once."""
        table, counted = self.table(), self.counted_table()
        lines = [
            f'# {table.title}', '',
            table.to_markdown(), '', f'## {counted.title}', '',
            counted.to_markdown(), '', EXPLAINED, ''
        ]
        return '\n'.join(lines + [f'- {note}' for note in self.notes()]) + '\n'

    def notes(self) -> List[str]:
        """All notes on the runs, each once, with the settings it is about
        unless it is about all."""
        notes: Dict[str, List[str]] = {}
        for name, result in self.comparisons.items():
            room = result.head_room()
            for note in ([room.sentence()] if room else []) + result.notes:
                notes.setdefault(note, []).append(name)
        return [
            note if len(names) == len(self.comparisons) else
            f'{"; ".join(names)}: {note}' for note, names in notes.items()
        ]

    def to_json(self) -> str:
        """The baselines, and the comparison of each setting with them."""
        settings = {
            name: to_dict(result)
            for name, result in self.comparisons.items()
        }
        baselines = [row.pop('baselines') for row in settings.values()]
        return json.dumps(dict(baselines=baselines[0], settings=settings))


def compare_settings(baselines: Sequence[Union[str, Run]],
                     settings: Mapping[str, Sequence[Union[str, Run]]],
                     targets: Optional[Sequence[Union[str, float]]] = None,
                     metric: Optional[str] = None,
                     rule: Optional[str] = None,
                     unit: str = 'epoch',
                     teacher: Union[None, str, Run, Mapping] = None,
                     pace: Union[None, Pace, Mapping] = None) -> SettingsTable:
    """Compare several settings with the same baselines.

    Args:
        baselines (Sequence[str | Run]): Runs without a teacher, one a seed; a
            string is a work_dir.
        settings (Mapping[str, Sequence[str | Run]]): Name of the setting ->
            its runs.
        targets, metric, rule: See :func:`~mmw2s.analysis.compare`.
        unit (str): See :class:`SettingsTable`. Defaults to ``'epoch'``.
        teacher (str | Run | Mapping, optional): The teacher's own training,
            or names of settings -> that of their teacher. One without a name,
            or of the name None, is counted for all others that have a teacher
            on record.
        pace (Pace | Mapping, optional): See :func:`~mmw2s.analysis.compare`,
            for all settings or, as above, for each. Of several, the first
            tells what a step of the baseline takes.

    Raises:
        FileNotFoundError: If a folder has no record.
        ValueError: If there is no setting, the runs do not have the metric
            or the unit, or a teacher or pace belongs to no setting.
    """
    if not settings:
        raise ValueError('there should be at least one setting to compare '
                         'with the baselines, but got none')
    baselines = load_runs(baselines)
    loaded = {name: load_runs(runs) for name, runs in settings.items()}
    teachers = _teachers(teacher, loaded)
    paces = _paces(pace, loaded)
    compared = {
        name:
        compare(baselines, runs, teachers.get(name), targets, metric, rule,
                paces.get(name))
        for name, runs in loaded.items()
    }
    for name, result in compared.items():
        if unit not in result.units:
            raise ValueError(
                f'not all runs of {name} and the baselines tell their '
                f'{UNITS[unit]}: they can be compared by ' +
                ' or '.join(u for u in ('epoch', 'iter') if u in result.units))
    return SettingsTable(compared, unit)


def _teachers(given: Union[None, str, Run, Mapping],
              settings: Mapping[str, Sequence[Run]]) -> Dict[str, Run]:
    """The run of the teacher of each setting that has one."""
    named, other = _by_name(given, settings, 'teacher')
    taught = [
        name for name, runs in settings.items()
        if name not in named and any(run.had_teacher for run in runs)
    ]
    if other is not None and not taught:
        raise ValueError(
            'no setting has a teacher on record that the training of '
            f'{getattr(other, "name", other)} could be counted for: name the '
            'settings that it belongs to')
    named.update(dict.fromkeys(taught, other) if other is not None else {})
    return {name: load_runs([run])[0] for name, run in named.items()}


def _paces(given: Union[None, Pace, Mapping],
           settings: Mapping[str, Sequence[Run]]) -> Dict[str, Pace]:
    """The pace of each setting, with one baseline for all."""
    named, other = _by_name(given, settings, 'pace')
    if not named and other is None:
        return {}
    lacking = [name for name in settings if name not in named]
    if lacking and other is None:
        raise ValueError('a time that is counted and one that is measured '
                         'cannot be compared: give a pace for ' +
                         ', '.join(f'"{name}"' for name in lacking) + ' too')
    named.update(dict.fromkeys(lacking, other))
    first = other or next(iter(named.values()))
    return {
        name: pace._replace(baseline=first.baseline)
        for name, pace in named.items()
    }


def _by_name(given: Any, settings: Mapping,
             what: str) -> Tuple[Dict[str, Any], Any]:
    """What is given for single settings, and what for all others."""
    if not isinstance(given, Mapping):
        return {}, given
    named = {name: value for name, value in given.items() if name is not None}
    for name in named:
        if name not in settings:
            raise ValueError(f'there is a {what} for "{name}", but the '
                             f'settings are {", ".join(settings)}')
    return named, given.get(None)


def save(result: SettingsTable,
         out_dir: str,
         teacher_strength: bool = False,
         curves: bool = False,
         epochs_only: bool = False) -> None:
    """Write ``settings.md`` and ``settings.json``.

    Args:
        result (SettingsTable): The settings.
        out_dir (str): The folder; it is created if it does not exist.
        teacher_strength (bool): Whether to draw ``teacher_strength.png`` too.
            Defaults to False.
        curves (bool): Whether to draw ``curves.png`` too: the baselines and
            all settings. Defaults to False.
        epochs_only (bool): See :func:`~mmw2s.analysis.plots.plot_curves`.
            Defaults to False.
    """
    os.makedirs(out_dir, exist_ok=True)
    if teacher_strength:
        plot_teacher_strength(result, osp.join(out_dir,
                                               'teacher_strength.png'))
    if curves:
        plot_settings(result.comparisons, osp.join(out_dir, 'curves.png'),
                      epochs_only, result.unit)
    for name, text in (('settings.md', result.to_markdown()),
                       ('settings.json', result.to_json())):
        with open(osp.join(out_dir, name), 'w', encoding='utf-8') as f:
            f.write(text)


def _number(count: float) -> str:
    return f'{round(count, 2):g}' if math.isfinite(count) else 'never'


def _quality(side: Side) -> List[str]:
    best = side.median_best()
    last = [run.last(side.metric) for run in side.runs]
    last = [score for score in last if score is not None]
    part = '' if len(last) == len(side.runs) else \
        f' ({len(last)} of {len(side.runs)} runs)'
    return [
        '-' if best is None else f'{best:.4g}',
        f'{median(last):.4g}{part}' if last else '-'
    ]


if __name__ == '__main__':  # for "python -m"
    import sys

    from mmw2s.cli import main
    main(['compare-settings', *sys.argv[1:]])
