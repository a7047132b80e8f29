# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare several settings of a distillation with the same baselines."""
import json
import math
import os
import os.path as osp
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from typing import Dict, List, Mapping, Optional, Sequence, Union

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmw2s.records.operating_band import HIGH, LOW
from .compare_runs import compare
from .comparison import Comparison, Target
from .report import to_dict
from .run import Run
from .side import Side
from .table import Table

__all__ = [
    'SettingsTable', 'compare_settings', 'plot_teacher_strength', 'save'
]

_PLURALS = dict(epoch='epochs', iter='iterations')


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
        title = f'{_PLURALS[self.unit].capitalize()} to targets of {metric}'
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

    def to_markdown(self) -> str:
        """The table and all notes on the runs, each note once."""
        table = self.table()
        notes: Dict[str, List[str]] = {}
        for name, result in self.comparisons.items():
            for note in result.notes:
                notes.setdefault(note, []).append(name)
        lines = [f'# {table.title}', '', table.to_markdown(), '']
        for note, names in notes.items():
            whose = '' if len(names) == len(
                self.comparisons) else f'{"; ".join(names)}: '
            lines.append(f'- {whose}{note}')
        return '\n'.join(lines) + '\n'

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
                     unit: str = 'epoch') -> SettingsTable:
    """Compare several settings with the same baselines.

    Args:
        baselines (Sequence[str | Run]): Runs without a teacher, one a seed; a
            string is a work_dir.
        settings (Mapping[str, Sequence[str | Run]]): Name of the setting ->
            its runs.
        targets, metric, rule: See :func:`~mmw2s.analysis.compare`.
        unit (str): See :class:`SettingsTable`. Defaults to ``'epoch'``.

    Raises:
        FileNotFoundError: If a folder has no record.
        ValueError: If there is no setting, or the runs do not have the metric
            or the unit.
    """
    if not settings:
        raise ValueError('there should be at least one setting to compare '
                         'with the baselines, but got none')
    compared = {
        name: compare(baselines, runs, None, targets, metric, rule)
        for name, runs in settings.items()
    }
    for name, result in compared.items():
        if unit not in result.units:
            raise ValueError(
                f'not all runs of {name} and the baselines tell their '
                f'{_PLURALS[unit]}: they can be compared by ' +
                ' or '.join(u for u in _PLURALS if u in result.units))
    return SettingsTable(compared, unit)


def teacher_share(result: Comparison) -> Optional[float]:
    """The teacher's score as a share of the baselines' best, see
    :func:`~mmw2s.records.operating_band.judge_teacher`; None if unknown."""
    judged = result.judge_teacher()
    return judged and judged.share


def plot_teacher_strength(result: SettingsTable, path: str) -> None:
    """Draw the speed-up of each setting against its teacher's score.

    Args:
        result (SettingsTable): Settings with different teachers.
        path (str): File to write.

    Raises:
        ValueError: If no setting has a teacher with a known score.
    """
    figure = Figure(figsize=(7, 4.2), layout='constrained')
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ordered = sorted(
        (c
         for c in result.comparisons.values() if teacher_share(c) is not None),
        key=teacher_share)
    if not ordered:
        raise ValueError('none of these runs tells its teacher\'s score: '
                         'there is nothing to draw it against')
    # Five colors and six markers make thirty different pairs.
    colors = cycle(('#0072B2', '#009E73', '#D55E00', '#CC79A7', '#E69F00'))
    for i, (target, color, marker) in enumerate(
            zip(result.first.targets, colors, cycle('osD^vP'))):
        points = [(teacher_share(c), c.speedup(c.targets[i], result.unit))
                  for c in ordered]
        points = [(x, up) for x, up in points if up.value is not None]
        ax.plot([x for x, _ in points], [up.value for _, up in points],
                color=color,
                marker=marker,
                label=f'to {target.label}')
        for x, up in points:
            ax.annotate(
                up.bound,
                (x, up.value),  # '<' or '>' if a group never reached it
                xytext=(5, 4),
                textcoords='offset points',
                color=color)
    ax.axhline(1, color='#808080', linewidth=1)
    ax.axvspan(LOW, HIGH, color='#808080', alpha=.12, linewidth=0)
    ax.set_xlabel(f"teacher's {result.first.metric} / baseline's best "
                  f'(shaded: {LOW:g} to {HIGH:g})')
    ax.set_ylabel(f'speed-up in {_PLURALS[result.unit]} (medians)')
    ax.spines[['top', 'right']].set_visible(False)
    ax.legend(frameon=False)
    figure.savefig(path, dpi=150)


def save(result: SettingsTable,
         out_dir: str,
         teacher_strength: bool = False) -> None:
    """Write ``settings.md`` and ``settings.json``.

    Args:
        result (SettingsTable): The settings.
        out_dir (str): The folder; it is created if it does not exist.
        teacher_strength (bool): Whether to draw ``teacher_strength.png`` too.
            Defaults to False.
    """
    os.makedirs(out_dir, exist_ok=True)
    if teacher_strength:
        plot_teacher_strength(result, osp.join(out_dir,
                                               'teacher_strength.png'))
    for name, text in (('settings.md', result.to_markdown()),
                       ('settings.json', result.to_json())):
        with open(osp.join(out_dir, name), 'w', encoding='utf-8') as f:
            f.write(text)


def _number(count: float) -> str:
    return f'{round(count, 2):g}' if math.isfinite(count) else 'never'


def _quality(side: Side) -> List[str]:
    best = side.median_best()
    last = [run.history[-1]['metrics'].get(side.metric) for run in side.runs]
    last = [score for score in last if score is not None]
    return [
        '-' if best is None else f'{best:.4g}',
        f'{median(last):.4g}' if last else '-'
    ]


if __name__ == '__main__':  # for "python -m"
    import sys

    from mmw2s.cli import main
    main(['compare-settings', *sys.argv[1:]])
