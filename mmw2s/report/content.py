# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a report says, before it is drawn or written."""
from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

from mmw2s.analysis.compare_runs import choose_metric, choose_rule, compare
from mmw2s.analysis.comparison import Comparison, Target
from mmw2s.analysis.counted import counted_unit
from mmw2s.analysis.run import TIME_UNITS, UNITS, Run, known_units, time_unit
from mmw2s.analysis.settings import SettingsTable, compare_settings
from mmw2s.analysis.side import Side
from mmw2s.records.metric_names import known_rule
from .gather import Material
from .groups import Group

__all__ = ['Axis', 'Report', 'make_report']


class Axis(NamedTuple):
    """What the cost of a score is told in.

    Attributes:
        key (str): Its name in the page's address, such as ``'epochs'``.
        label (str): Its name on an axis.
        unit (str): A key of :data:`~mmw2s.analysis.run.UNITS`.
        scale (float): Divisor of the unit. Defaults to 1.
        counted (bool): Whether the teacher's own training is added. Defaults
            to False.
    """
    key: str
    label: str
    unit: str
    scale: float = 1.
    counted: bool = False


@dataclass
class Report:
    """What a report is about.

    Args:
        title (str): Its title.
        material (Material): What it was made of.
        metrics (dict[str, str]): Metric -> 'greater' or 'less'; the one that
            is compared first.
        axes (list[Axis]): The first one is shown first.
        targets (dict[str, list[Target]]): Metric -> its targets, from the
            easiest to the hardest.
        table (SettingsTable, optional): All settings against the baseline;
            None if there is no baseline or nothing else.
        notes (list[str]): What limits what the numbers show.
    """
    title: str
    material: Material
    metrics: Dict[str, str]
    axes: List[Axis]
    targets: Dict[str, List[Target]]
    table: Optional[SettingsTable] = None
    notes: List[str] = field(default_factory=list)

    @property
    def groups(self) -> List[Group]:
        """All groups, the baseline first."""
        return self.material.groups

    @property
    def metric(self) -> str:
        """The metric that is compared."""
        return next(iter(self.metrics))

    @property
    def baseline(self) -> Optional[Group]:
        """What the others are compared with."""
        return next((g for g in self.groups if g.is_baseline), None)

    @property
    def comparisons(self) -> Dict[str, Comparison]:
        """Name of a setting -> its comparison with the baseline."""
        return self.table.comparisons if self.table else {}

    def side(self, group: Group, metric: Optional[str] = None) -> Side:
        """The runs of a group, looked at by a metric."""
        metric = metric or self.metric
        return Side(group.name, group.runs, metric, self.metrics[metric])

    def teachers(self) -> List[Run]:
        """The teachers' own trainings, each once."""
        runs = [group.teacher for group in self.groups if group.teacher]
        return [run for i, run in enumerate(runs) if run not in runs[:i]]

    def teacher_scores(self, metric: str) -> List[float]:
        """The different scores that students measured of their teachers, or
        else the last ones of the teachers' own trainings."""
        scores = set()
        for group in self.groups:
            if group.had_teacher or group.teacher:
                side = self.side(group, metric)
                score = Comparison(metric, self.metrics[metric], side, side,
                                   group.teacher, []).teacher_score()
                scores.add(score)
        return sorted(scores - {None})


def make_report(material: Material,
                title: str = 'Time to target',
                targets: Optional[Sequence[Union[str, float]]] = None,
                metric: Optional[str] = None,
                rule: Optional[str] = None) -> Report:
    """Work out what a report says.

    Args:
        material (Material): What was gathered.
        title (str): The title. Defaults to 'Time to target'.
        targets (Sequence[str | float], optional): See
            :func:`mmw2s.analysis.compare`; so are ``metric`` and ``rule``. If
            there is no baseline, shares are those of the first group's best.

    Raises:
        ValueError: If the runs have no metric in common, a target is no
            number, or the sides are swapped.
    """
    groups = material.groups
    runs = [run for group in groups for run in group.runs]
    _check_common(runs)
    metric = choose_metric(runs, metric)
    metrics = {metric: choose_rule(runs, metric, rule)}
    metrics.update(_others(runs, metric))
    units = known_units(runs)
    unit = 'epoch' if 'epoch' in units else 'iter'
    baseline = next((group for group in groups if group.is_baseline), None)
    settings = [group for group in groups if not group.is_baseline]
    table = None
    if baseline and settings:
        table = compare_settings(
            baseline.runs, {g.name: g.runs
                            for g in settings}, targets, metric, rule, unit,
            {g.name: g.teacher
             for g in settings if g.teacher})
    given = {metric: targets}
    report = Report(
        title, material, metrics, _axes(runs, units, groups, table), {
            name:
            _targets(
                baseline or groups[0],
                name,
                how,
                given.get(name),
                is_main=name == metric)
            for name, how in metrics.items()
        }, table)
    report.notes = material.problems + _notes(report)
    return report


def _check_common(runs: Sequence[Run]) -> None:
    named = {run.name: run.metrics() for run in runs if run.metrics()}
    if named and not set.intersection(*named.values()):
        told = '; '.join(f'{name}: {", ".join(sorted(metrics)[:3])}'
                         for name, metrics in named.items())
        raise ValueError('these runs have no metric in common: name those '
                         f'that belong together ({told})')


def _others(runs: Sequence[Run], metric: str) -> Dict[str, str]:
    """The other metrics that all runs have and whose better side is known."""
    named = [run.metrics() for run in runs if run.metrics()]
    common = set.intersection(*named) - {metric}
    ordered = dict.fromkeys(name for run in runs for row in run.history
                            for name in row['metrics'] if name in common)
    found = {name: known_rule(name) for name in ordered}
    return {name: rule for name, rule in found.items() if rule is not None}


def _axes(runs: Sequence[Run], units: Sequence[str], groups: Sequence[Group],
          table: Optional[SettingsTable]) -> List[Axis]:
    axes = [
        Axis(key, label, unit)
        for key, label, unit in (('epochs', 'epoch', 'epoch'),
                                 ('iterations', 'iteration', 'iter'))
        if unit in units
    ]
    clock = counted_unit(table.comparisons) if table else next(
        (u for u in ('wall_seconds', 'train_seconds') if u in units), '')
    if clock in TIME_UNITS:
        time = time_unit(runs)
        text = f'{UNITS[clock]} ({time.name})'
        axes.append(Axis('time', text, clock, time.seconds))
        if any(g.teacher and g.teacher.knows(clock) for g in groups):
            axes.append(
                Axis('time+teacher', f"{text}, teacher's training included",
                     clock, time.seconds, True))
    return axes


def _targets(group: Group,
             metric: str,
             rule: str,
             given: Optional[Sequence[Union[str, float]]],
             is_main: bool = False) -> List[Target]:
    """Values of a metric, or shares of a group's best."""
    # Without paths and records: only the targets are asked for, so that both
    # sides may be the same runs.
    runs = [Run(r.name, r.history, r.facts, r.targets) for r in group.runs]
    try:
        return compare(runs, runs, None, given, metric, rule).targets
    except ValueError:
        if is_main and given is not None:
            raise
        return []  # no share of a best that is 0 or none


def _notes(report: Report) -> List[str]:
    """Each note of the comparisons once, with the settings it is about."""
    if report.table is not None:
        return report.table.notes()
    notes = [] if report.baseline else [
        'There is no baseline to compare with: targets are shares of the best '
        f'of {report.groups[0].name}, and there are no speed-ups.'
    ]
    return notes + [
        f'{run.name} has not finished.' for group in report.groups
        for run in group.runs if not run.finished
    ]
