# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How much sooner one group of runs reached its targets than another."""
import math
import os.path as osp
from dataclasses import dataclass, field
from statistics import median
from typing import List, NamedTuple, Optional, Sequence, Union

from .run import TIME_UNITS, UNITS, Run, cost
from .targets import infer_rule

__all__ = ['compare', 'Comparison', 'Speedup', 'Target']

DEFAULT_TARGETS = ('80%', '90%', '95%')
DEFAULT_METRIC = 'coco/bbox_mAP'


class Speedup(NamedTuple):
    """The baseline's median cost divided by the other side's.

    Attributes:
        value (float, optional): The factor. None where neither side's median
            is known.
        bound (str): '' where both medians are known. '>' where the baseline's
            is beyond the end of its runs: the factor is more than this. '<'
            where the weak-to-strong side's is: it is less than this.
    """
    value: Optional[float]
    bound: str = ''

    @property
    def is_faster(self) -> bool:
        """Whether it is certain that less was spent."""
        return self.value is not None and self.bound != '<' and (
            self.value >= 1 if self.bound else self.value > 1)

    def __str__(self) -> str:
        if self.value is None:
            return 'neither reached'
        return f'{self.bound}{" " if self.bound else ""}{self.value:.2f}x'


@dataclass
class Target:
    """One target, and the row at which each run first reached it.

    Args:
        value (float): The value of the metric.
        label (str): The value and where it comes from.
        baseline (list): A row or None for each baseline.
        w2s (list): The same for each weak-to-strong run.
    """
    value: float
    label: str
    baseline: List[Optional[dict]]
    w2s: List[Optional[dict]]


@dataclass
class Comparison:
    """The result of :func:`compare`; see there."""
    metric: str
    rule: str
    baselines: List[Run]
    w2s: List[Run]
    teacher: Optional[Run]
    targets: List[Target]
    notes: List[str] = field(default_factory=list)

    def costs(self, target: Target, side: str, unit: str) -> List[float]:
        """Cost of reaching a target, by run; infinite where not reached.

        Args:
            target (Target): One of the targets.
            side (str): 'baseline' or 'w2s'.
            unit (str): A key of :data:`~mmw2s.analysis.run.UNITS`.
        """
        runs = self.baselines if side == 'baseline' else self.w2s
        return [
            math.inf if row is None else cost(run, row, unit)
            for run, row in zip(runs, getattr(target, side))
        ]

    def teacher_cost(self, unit: str) -> float:
        """What the teacher's own training cost, until its last validation.

        0 without a teacher's run, and in epochs and iterations: those of
        another model cannot be added.
        """
        if self.teacher is None or unit not in TIME_UNITS:
            return 0.
        return cost(self.teacher, self.teacher.history[-1], unit)

    def speedup(self,
                target: Target,
                unit: str,
                with_teacher: bool = False) -> Speedup:
        """Speed-up of the medians.

        A side's median is unknown when half of its runs or more did not reach
        the target. They would have needed more than they had spent at their
        end, which still gives a bound on the speed-up.
        """
        extra = self.teacher_cost(unit) if with_teacher else 0.
        base, bound_base = self._median(target, 'baseline', unit)
        w2s, bound_w2s = self._median(target, 'w2s', unit)
        if (bound_base and bound_w2s) or w2s + extra <= 0:
            return Speedup(None)
        bound = '>' if bound_base else '<' if bound_w2s else ''
        return Speedup(base / (w2s + extra), bound)

    def _median(self, target: Target, side: str, unit: str) -> tuple:
        """The median cost, and whether it is only a lower bound."""
        costs = self.costs(target, side, unit)
        if math.isfinite(median(costs)):
            return median(costs), False
        runs = self.baselines if side == 'baseline' else self.w2s
        return median(
            min(c, cost(run, run.history[-1], unit))
            for c, run in zip(costs, runs)), True

    def verdict(self) -> List[str]:
        """What the numbers say, in sentences, no gain included."""
        total, said, sooner = len(self.targets), [], []
        kinds = [('epoch', False), ('wall_seconds', False)]
        kinds += [('wall_seconds', True)] if self.teacher else []
        for unit, with_teacher in kinds:
            name = UNITS[unit] + (" with the teacher's own training added"
                                  if with_teacher else '')
            ups = [self.speedup(t, unit, with_teacher) for t in self.targets]
            sooner.append(sum(up.is_faster for up in ups))
            said.append(
                f'In {name}: sooner at {sooner[-1]} of {total} targets (' +
                ', '.join(f'{up} at {t.value:.4g}'
                          for up, t in zip(ups, self.targets)) + ').')
        epochs, wall = sooner[:2]
        if not epochs and not wall:
            said.insert(0, 'No speed-up was measured.')
        elif not wall:
            said.insert(0, 'Fewer epochs were needed, but no time was saved.')
        base, w2s = (
            self.median_best(runs) for runs in (self.baselines, self.w2s))
        if base is not None and w2s is not None:
            worse = w2s < base if self.rule == 'greater' else w2s > base
            said.append(f'Best {self.metric} (median): baseline {base:.4g}, '
                        f'weak-to-strong {w2s:.4g}' +
                        (': the final quality is lower.' if worse else '.'))
        return said

    def median_best(self, runs: Sequence[Run]) -> Optional[float]:
        """Median over runs of the best value; None if none has a value."""
        best = [run.best(self.metric, self.rule) for run in runs]
        scores = [row['metrics'][self.metric] for row in best if row]
        return median(scores) if scores else None

    def teacher_score(self) -> Optional[float]:
        """The teacher's score as its students' runs measured it, else the
        last one of its own run."""
        for run in self.w2s:
            event = run.teacher or {}
            score = event.get('metrics', {}).get(self.metric)
            if score is None and event.get('metric') == self.metric:
                score = event.get('score')
            if score is not None:
                return score
        rows = self.teacher.rows(self.metric) if self.teacher else []
        return rows[-1]['metrics'][self.metric] if rows else None

    def to_markdown(self, **kwargs) -> str:
        """The full report, see :func:`mmw2s.analysis.report.to_markdown`."""
        from .report import to_markdown
        return to_markdown(self, **kwargs)

    def to_json(self) -> str:
        """All numbers of the report as a JSON text."""
        from .report import to_json
        return to_json(self)

    def print(self) -> None:
        """Print the tables to the terminal."""
        from .report import print_tables
        print_tables(self)


def compare(baselines: Sequence[Union[str, Run]],
            w2s: Sequence[Union[str, Run]],
            teacher: Optional[Union[str, Run]] = None,
            targets: Optional[Sequence[Union[str, float]]] = None,
            metric: Optional[str] = None,
            rule: Optional[str] = None) -> Comparison:
    """Compare runs with and without a weak teacher.

    Args:
        baselines (Sequence[str | Run]): The runs without, one a seed: their
            work_dirs, or read already.
        w2s (Sequence[str | Run]): The runs with a weak teacher.
        teacher (str | Run, optional): The teacher's own training. With it,
            speed-ups are given with its cost added, too.
        targets (Sequence[str | float], optional): Values of the metric, or
            strings as '90%' of the median of the baselines' best (where less
            is better, the best divided by 0.9). Targets should be fixed
            before the runs. Defaults to 80, 90 and 95 %.
        metric (str, optional): Name of the metric. Defaults to what the runs
            were given targets for, then ``coco/bbox_mAP``, then the only one
            there is.
        rule (str, optional): 'greater' or 'less'. Defaults to what the
            metric's name or the runs' own targets say.

    Returns:
        Comparison: With ``to_markdown()``, ``to_json()`` and ``print()``.

    Raises:
        FileNotFoundError: If a folder holds no record.
        ValueError: If the runs have no such metric, or a target is no number.
    """
    baselines, w2s = _load(baselines), _load(w2s)
    teacher = _load([teacher])[0] if teacher is not None else None
    if not baselines or not w2s:
        raise ValueError('there should be at least one baseline and one '
                         f'weak-to-strong run, but got {len(baselines)} and '
                         f'{len(w2s)}')
    runs = baselines + w2s
    metric = _choose_metric(runs, metric)
    if rule is None:
        rule = next((t['rule'] for run in runs
                     for t in run.targets if t['metric'] == metric), None)
    rule = infer_rule(metric, rule)
    result = Comparison(metric, rule, baselines, w2s, teacher, [])
    best = result.median_best(baselines)
    given = DEFAULT_TARGETS if targets is None else targets
    for value, label in dict(_parse(t, best, rule) for t in given).items():
        result.targets.append(
            Target(
                value, label,
                *([run.first_at(metric, value, rule) for run in side]
                  for side in (baselines, w2s))))
    result.targets.sort(key=lambda t: t.value, reverse=rule == 'less')
    result.notes = _notes(baselines, w2s, targets is None)
    return result


def _load(runs: Sequence[Union[str, Run]]) -> List[Run]:
    return [
        run if isinstance(run, Run) else Run.load(osp.expanduser(str(run)))
        for run in runs
    ]


def _choose_metric(runs: List[Run], metric: Optional[str]) -> str:
    # Runs that never detected anything name no metric and forbid none.
    named = {run.name: run.metrics() for run in runs if run.metrics()}
    if not named:
        raise ValueError('no validation of any of these runs gave a metric')
    common = set.intersection(*named.values())
    if metric is None:
        own = {t['metric'] for run in runs for t in run.targets}
        for wanted in (own, {DEFAULT_METRIC}, common):
            if len(wanted & common) == 1:
                return (wanted & common).pop()
        raise ValueError(
            'these runs have several metrics, name one: ' +
            ', '.join(sorted(common or set.union(*named.values()))))
    for name, metrics in named.items():
        if metric not in metrics:
            raise ValueError(f'{name} has no metric "{metric}": it has ' +
                             ', '.join(sorted(metrics)))
    return metric


def _parse(target: Union[str, float], best: Optional[float],
           rule: str) -> tuple:
    """Value and label of a target that may be a share of the best."""
    text = str(target).strip()
    try:
        if not text.endswith('%'):
            return float(text), f'{float(text):.4g}'
        share = float(text[:-1]) / 100
    except ValueError:
        raise ValueError('a target should be a number as 0.3 or a share as '
                         f'90%, but got {target!r}') from None
    if best is None or best <= 0 or share <= 0:
        raise ValueError(
            f'a target of {text} needs a positive best of the baselines, but '
            f'theirs is {best}: give targets as numbers')
    value = best * share if rule == 'greater' else best / share
    return value, f"{value:.4g} ({text} of baseline)"


def _notes(baselines: List[Run], w2s: List[Run],
           chosen_afterwards: bool) -> List[str]:
    """What a reader must know before believing the numbers."""
    notes = []
    for key, what in dict(
            world_size='number of devices',
            batch_size_per_device='batch size',
            devices='device',
            omp_num_threads='OMP_NUM_THREADS',
            versions='versions').items():
        values = []
        for run in baselines + w2s:
            if run.facts.get(key) not in values:
                values.append(run.facts.get(key))
        if len(values) > 1:
            notes.append(f'The runs differ in {what} ({key}): ' +
                         ' / '.join(map(str, values)) + '.')
    for run in baselines + w2s:
        if not run.finished:
            notes.append(f'{run.name} has not finished.')
    fewest = min(len(baselines), len(w2s))
    if fewest < 3:
        notes.append(f'{fewest} seed{"s" if fewest > 1 else ""} a side: '
                     'this says little about the spread.')
    if chosen_afterwards:
        notes.append("The targets are shares of the baseline's best, chosen "
                     'after the runs.')
    return notes
