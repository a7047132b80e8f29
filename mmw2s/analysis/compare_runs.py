# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Choose metric and targets, and compare two groups of runs."""
import math
import os.path as osp
from typing import Any, List, Optional, Sequence, Union

from mmw2s.records.metric_names import main_metric, rule_warning, scale_warning
from mmw2s.records.targets import infer_rule
from mmw2s.utils.text import plural
from .comparison import Comparison, Target
from .run import TIME_UNITS, UNITS, Run, known_units
from .side import Side

__all__ = ['choose_metric', 'choose_rule', 'compare']

DEFAULT_TARGETS = ('80%', '90%', '95%')


def compare(baselines: Sequence[Union[str, Run]],
            w2s: Sequence[Union[str, Run]],
            teacher: Optional[Union[str, Run]] = None,
            targets: Optional[Sequence[Union[str, float]]] = None,
            metric: Optional[str] = None,
            rule: Optional[str] = None) -> Comparison:
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

    Returns:
        Comparison: The result, for ``print_tables`` and ``save``.

    Raises:
        FileNotFoundError: If a folder has no record.
        ValueError: If the runs do not have the metric, a target is no number,
            a run is given twice, or the two groups are swapped.

    Examples:
        >>> result = compare(['baseline_0'], ['w2s_0'], targets=[0.3, '90%'])
        >>> print_tables(result)
    """
    baselines, w2s = _load(baselines), _load(w2s)
    teacher = _load([teacher])[0] if teacher is not None else None
    if not baselines or not w2s:
        raise ValueError('there should be at least one baseline and one '
                         f'weak-to-strong run, but got {len(baselines)} and '
                         f'{len(w2s)}')
    _check_sides(baselines, w2s)
    runs = baselines + w2s
    metric = choose_metric(runs, metric)
    rule = choose_rule(runs, metric, rule)
    baseline = Side('baseline', baselines, metric, rule)
    result = Comparison(metric, rule, baseline, Side('w2s', w2s, metric, rule),
                        teacher, [])
    best = baseline.median_best()
    given = DEFAULT_TARGETS if targets is None else targets
    found = dict(_parse(t, best, rule) for t in given)
    result.targets += (Target(*item) for item in found.items())
    result.targets.sort(key=lambda t: t.value, reverse=rule == 'less')
    odd = [rule_warning(metric, rule)] + [
        scale_warning('A target', target.value, metric, best)
        for target in result.targets
    ]
    result.notes = [line if line.endswith('?') else f'{line}.'
                    for line in odd if line] + \
        _notes(baselines, w2s, teacher, targets is None)
    return result


def _load(runs: Sequence[Union[str, Run]]) -> List[Run]:
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


def _notes(baselines: List[Run], w2s: List[Run], teacher: Optional[Run],
           chosen_afterwards: bool) -> List[str]:
    """Facts that limit what the numbers show."""
    students = baselines + w2s
    runs = students + ([teacher] if teacher else [])
    notes = _differences(
        runs,  # these change how long a step takes
        world_size='number of devices',
        devices='device',
        omp_num_threads='OMP_NUM_THREADS',
        precision='precision',
        versions='versions')
    # For the same boxes, the scores of two evaluators of COCO differ by up to
    # a third.
    notes += _differences(runs, evaluators='evaluator')
    notes += _differences(
        students,
        batch_size_per_device='batch size',
        max_iters='length',
        iters_per_epoch='iterations of an epoch')
    notes += _unknown(baselines + w2s, teacher)
    for run in runs:
        if not run.finished:
            notes.append(f'{run.name} has not finished.')
        if 'recorded_from' in run.facts:
            notes.append(f'{run.name} is on record from iteration '
                         f'{run.facts["recorded_from"]} on only: it may have '
                         'reached targets before, and its times may lack what '
                         'preceded.')
    for run in baselines:
        if run.had_teacher:
            notes.append(f'The baseline {run.name} had a teacher.')
    for run in w2s:
        if not run.had_teacher:
            notes.append(f'{run.name} has no record of a teacher.')
    scored = [run.teacher for run in w2s if run.teacher]
    # Compared by score, because a teacher's file may have moved.
    teachers = {t.get('score') or t.get('checkpoint'): t for t in scored}
    if len(teachers) > 1:
        notes.append('The weak-to-strong runs had different teachers: ' +
                     ', '.join(f'{t.get("checkpoint")} ({t.get("score")})'
                               for t in teachers.values()) + '.')
    seeds_of = [{run.facts.get('seed')
                 for run in side} - {None} for side in (baselines, w2s)]
    if all(seeds_of) and seeds_of[0] != seeds_of[1]:
        notes.append('The sides differ in their seeds: ' +
                     ' / '.join(', '.join(map(str, sorted(seeds)))
                                for seeds in seeds_of) + '.')
    for side in (baselines, w2s):
        seeds = [run.facts.get('seed') for run in side]
        for seed in dict.fromkeys(seeds):
            same = [run.name for run, s in zip(side, seeds) if s == seed]
            if seed is not None and len(same) > 1:
                notes.append(f'{", ".join(same)} have the same seed, {seed}.')
    fewest = min(len(baselines), len(w2s))
    if fewest < 3:
        notes.append(f'{plural(fewest, "seed")} a side: '
                     'this says little about the spread.')
    if chosen_afterwards:
        notes.append("The targets are shares of the baseline's best, chosen "
                     'after the runs.')
    return notes


def _unknown(students: List[Run], teacher: Optional[Run]) -> List[str]:
    """What is not known of runs without a record of mmw2s."""
    from_logs = [
        f'{run.name} ({run.facts["source"]})'
        for run in students + ([teacher] if teacher else [])
        if 'source' in run.facts
    ]
    notes = [
        'Read from MMEngine\'s own logs, for want of time_to_target.json: '
        f'{", ".join(from_logs)}. Their training time is the logged time of '
        'an iteration times the number of iterations.'
    ] if from_logs else []
    known = known_units(students)
    unknown = [UNITS[unit] for unit in UNITS if unit not in known]
    if unknown:
        notes.append(f'Not compared, because not all runs tell: '
                     f'{", ".join(unknown)}. TimeToTargetHook records them.')
    if teacher and not any(teacher.knows(u) for u in TIME_UNITS if u in known):
        notes.append("The cost of the teacher's own training is not added: "
                     'it is not known in a time that the others tell.')
    return notes


def _differences(runs: List[Run], **facts: str) -> List[str]:
    """A note on each fact that differs; the values are its name in words."""
    notes = []
    for key, what in facts.items():
        values = _values(runs, key)
        if len(values) > 1:
            notes.append(f'The runs differ in {what} ({key}): ' +
                         ' / '.join(map(str, values)) + '.')
    return notes


def _values(runs: List[Run], key: str) -> List[Any]:
    """The different values of a fact, of the runs that have it."""
    told = [run.facts[key] for run in runs if key in run.facts]
    if key == 'versions' and told:
        # Records of earlier versions name fewer packages.
        names = [name for name in told[0] if all(name in v for v in told)]
        told = [{name: v[name] for name in names} for v in told]
    return [value for i, value in enumerate(told) if value not in told[:i]]


if __name__ == '__main__':  # for "python -m"
    import sys

    from mmw2s.cli import main
    main(['compare', *sys.argv[1:]])
