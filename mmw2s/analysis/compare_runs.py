# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Choose metric and targets, and compare two groups of runs."""
import math
import os.path as osp
from typing import List, Optional, Sequence, Union

from mmw2s.records.metric_names import main_metric, rule_warning, scale_warning
from mmw2s.records.targets import infer_rule
from .comparison import Comparison, Target
from .notes import notes_on
from .pace import Pace
from .run import Run
from .side import Side

__all__ = [
    'choose_metric', 'choose_rule', 'compare', 'find_targets', 'load_runs'
]

DEFAULT_TARGETS = ('80%', '90%', '95%')


def compare(baselines: Sequence[Union[str, Run]],
            w2s: Sequence[Union[str, Run]],
            teacher: Optional[Union[str, Run]] = None,
            targets: Optional[Sequence[Union[str, float]]] = None,
            metric: Optional[str] = None,
            rule: Optional[str] = None,
            pace: Optional[Pace] = None) -> Comparison:
    """Compare runs with and without a weak teacher.

    Args:
        baselines (Sequence[str | Run]): Runs without a teacher, one a seed;
            a string is a work_dir.
        w2s (Sequence[str | Run]): Runs with a weak teacher.
        teacher (str | Run, optional): The teacher's own training. If given,
            speed-ups are also computed with its cost added.
        targets (Sequence[str | float], optional): Values of the metric, or
            strings like '90%': that share of the best score of the baselines
            (median over runs). If lower scores are better, the best is
            divided by 0.9. Choose targets before the runs. Defaults to 80%,
            90% and 95%.
        metric (str, optional): Name of the metric. Defaults to the metric that
            the runs had targets for, else to the main one, see
            :func:`~mmw2s.records.metric_names.main_metric`.
        rule (str, optional): 'greater' or 'less': which scores are better.
            Defaults to the rule of the runs' own targets, else to that of the
            metric's name.
        pace (Pace, optional): What a step costs on a quiet machine. If given,
            training time is iterations times that, and the clocks of the runs
            are not looked at.

    Returns:
        Comparison: The result, for ``print_tables`` and ``save``.

    Raises:
        FileNotFoundError: If a folder has no record.
        ValueError: If the runs do not have the metric, a target is no number,
            a run is given twice, the two groups are swapped, or ``pace`` does
            not tell what a step of the teacher's training costs.

    Examples:
        >>> result = compare(['baseline_0'], ['w2s_0'], targets=[0.3, '90%'])
        >>> print_tables(result)
    """
    baselines, w2s = load_runs(baselines), load_runs(w2s)
    teacher = load_runs([teacher])[0] if teacher is not None else None
    if not baselines or not w2s:
        raise ValueError('there should be at least one baseline and one '
                         f'weak-to-strong run, but got {len(baselines)} and '
                         f'{len(w2s)}')
    _check_sides(baselines, w2s)
    if pace is not None:
        baselines, w2s = ([pace.of_student(run) for run in side]
                          for side in (baselines, w2s))
        teacher = teacher and pace.of_teacher(teacher)
    runs = baselines + w2s
    metric = choose_metric(runs, metric)
    rule = choose_rule(runs, metric, rule)
    baseline = Side('baseline', baselines, metric, rule)
    result = Comparison(metric, rule, baseline, Side('w2s', w2s, metric, rule),
                        teacher, [])
    best = baseline.median_best()
    given = DEFAULT_TARGETS if targets is None else targets
    result.targets += find_targets(given, best, rule)
    odd = [rule_warning(metric, rule)] + [
        scale_warning('A target', target.value, metric, best)
        for target in result.targets
    ]
    result.notes = [line if line.endswith('?') else f'{line}.'
                    for line in odd if line] + \
        notes_on(baselines, w2s, teacher, targets is None, pace)
    return result


def load_runs(runs: Sequence[Union[str, Run]]) -> List[Run]:
    """The runs, of which a string is a work_dir."""
    return [
        run if isinstance(run, Run) else Run.load(str(run)) for run in runs
    ]


def _check_sides(baselines: List[Run], w2s: List[Run]) -> None:
    taught = [run for run in baselines if run.had_teacher]
    if taught and not any(run.had_teacher for run in w2s):
        raise ValueError(
            f'the baseline {taught[0].name} was trained with a weak teacher, '
            'as its w2s_record.jsonl says, and no run of the other side was: '
            'swap the sides')
    seen = set()
    for run in baselines + w2s:
        path = run.path and osp.realpath(run.path)
        if path in seen:
            raise ValueError(f'the run {run.path} is given twice')
        seen |= {path} - {None}


def choose_metric(runs: Sequence[Run], metric: Optional[str] = None) -> str:
    """The metric to compare, see :func:`compare`."""
    # A run that never detected anything has no metric; it does not count here.
    named = {run.name: run.metrics() for run in runs if run.metrics()}
    if not named:
        raise ValueError('no validation of any of these runs gave a metric')
    common = set.intersection(*named.values())
    if metric is None:
        own = {t['metric'] for run in runs for t in run.targets}
        if len(own & common) == 1:
            return (own & common).pop()
        # In the order of the evaluator.
        main = main_metric(name for run in runs for row in run.history
                           for name in row['metrics'] if name in common)
        if main is not None:
            return main
        raise ValueError(
            'these runs have several metrics, name one: ' +
            ', '.join(sorted(common or set.union(*named.values()))))
    for name, metrics in named.items():
        if metric not in metrics:
            raise ValueError(f'{name} has no metric "{metric}": it has ' +
                             ', '.join(sorted(metrics)))
    return metric


def choose_rule(runs: Sequence[Run],
                metric: str,
                rule: Optional[str] = None) -> str:
    """Which scores of a metric are better, see :func:`compare`."""
    if rule is None:
        rule = next((t['rule'] for run in runs
                     for t in run.targets if t['metric'] == metric), None)
    return infer_rule(metric, rule)


def find_targets(targets: Sequence[Union[str, float]], best: Optional[float],
                 rule: str) -> List[Target]:
    """Turn targets into values of the metric, from the easiest to the hardest.

    Args:
        targets (Sequence[str | float]): See :func:`compare`.
        best (float, optional): What a share is a share of. Defaults to None:
            it is not known, so only numbers will do.
        rule (str): 'greater' or 'less': which scores are better.

    Raises:
        ValueError: If a target is neither, or a share of nothing.
    """
    found = dict(_parse(target, best, rule) for target in targets)
    return sorted((Target(*item) for item in found.items()),
                  key=lambda target: target.value,
                  reverse=rule == 'less')


def _parse(target: Union[str, float], best: Optional[float],
           rule: str) -> tuple:
    """Value and label of a target, which may be a share of the best score."""
    text = str(target).strip()
    try:
        number = float(text[:-1] if text.endswith('%') else text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError('a target should be a number as 0.3 or a share as '
                         f'90%, but got {target!r}')
    if not text.endswith('%'):
        return number, f'{number:.4g}'
    share = number / 100
    if best is None or best <= 0 or share <= 0:
        raise ValueError(
            f'a target of {text} needs a positive best of the baselines, but '
            f'it is {best}: give targets as numbers')
    value = best * share if rule == 'greater' else best / share
    return value, f"{value:.4g} ({text} of baseline)"


if __name__ == '__main__':  # for "python -m"
    import sys

    from mmw2s.cli import main
    main(['compare', *sys.argv[1:]])
