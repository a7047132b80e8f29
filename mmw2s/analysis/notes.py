# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Facts on the runs of a comparison that limit what its numbers show."""
from typing import Any, List, Optional

from mmw2s.utils.text import plural
from .pace import Pace
from .run import TIME_UNITS, UNITS, Run, known_units

__all__ = ['notes_on', 'notes_on_records']


def notes_on(baselines: List[Run],
             w2s: List[Run],
             teacher: Optional[Run],
             chosen_afterwards: bool,
             pace: Optional[Pace] = None) -> List[str]:
    """Notes on two groups of runs.

    Args:
        baselines (list[Run]): Runs without a teacher.
        w2s (list[Run]): Runs with one.
        teacher (Run, optional): The teacher's own training.
        chosen_afterwards (bool): Whether the targets are the default ones.
        pace (Pace, optional): What the times were counted with. Defaults to
            None, they are those of the runs' own clocks.

    Returns:
        list[str]: A sentence each.
    """
    students = baselines + w2s
    runs = students + ([teacher] if teacher else [])
    notes = _of_machines(runs)
    notes += _differences(
        students,
        batch_size_per_device='batch size',
        max_iters='length',
        iters_per_epoch='iterations of an epoch')
    notes += _of_validations(students)
    if pace is None:
        notes += _unknown(baselines + w2s, teacher)
    else:
        notes.append('Training time is counted, not measured: iterations '
                     f'times the step times in {pace.source}: {pace}. '
                     'Loading data, validations and scoring the teacher are '
                     'left out.')
    if teacher is None and any(run.had_teacher for run in w2s):
        notes.append("The teacher's own training is not counted: its run was "
                     'not given (--teacher).')
    notes += _incomplete(runs) + _of_teachers(baselines, w2s)
    notes += _of_seeds(baselines, w2s)
    fewest = min(len(baselines), len(w2s))
    if fewest < 3:
        notes.append(f'{plural(fewest, "seed")} a side: '
                     'this says little about the spread.')
    if chosen_afterwards:
        notes.append("The targets are shares of the baseline's best, a number "
                     'that is known after the runs only.')
    return notes


def notes_on_records(runs: List[Run]) -> List[str]:
    """What keeps records from being compared: machines, packages, gaps.

    Args:
        runs (list[Run]): Runs, of whatever settings.
    """
    return _of_machines(runs) + _incomplete(runs)


def _of_machines(runs: List[Run]) -> List[str]:
    notes = _differences(
        runs,  # these change how long a step takes
        world_size='number of devices',
        devices='device',
        omp_num_threads='OMP_NUM_THREADS',
        precision='precision',
        versions='versions')
    # For the same boxes, the scores of two evaluators of COCO differ by up to
    # a third.
    return notes + _differences(runs, evaluators='evaluator')


def _incomplete(runs: List[Run]) -> List[str]:
    """What is missing in records."""
    notes = []
    for run in runs:
        if not run.finished:
            notes.append(f'{run.name} has not finished.')
        if 'recorded_from' in run.facts:
            notes.append(f'{run.name} is on record from iteration '
                         f'{run.facts["recorded_from"]} on only: it may have '
                         'reached targets before, and its times may lack what '
                         'preceded.')
    return notes


def _of_validations(runs: List[Run]) -> List[str]:
    """That some runs were validated more seldom, as far as all have come."""
    unit = 'epoch' if 'epoch' in known_units(runs) else 'iter'
    places = [[row[unit] for row in run.history] for run in runs]
    # What is lost of a record is noted elsewhere.
    begin = max(mine[0] if 'recorded_from' in run.facts else 0
                for run, mine in zip(runs, places))
    end = min(mine[-1] for mine in places)
    counts = [sum(begin <= x <= end for x in mine) for mine in places]
    # A run that is resumed or ends early may have one validation more.
    if max(counts) - min(counts) < 2:
        return []
    often, seldom = (
        runs[counts.index(take(counts))].name for take in (max, min))
    return [
        f'The runs differ in how often they were validated: {often} '
        f'{max(counts)} times in {end:g} {UNITS[unit]}, {seldom} '
        f'{min(counts)} times. A target is seen at the next validation, so '
        'the less often, the later.'
    ]


def _of_teachers(baselines: List[Run], w2s: List[Run]) -> List[str]:
    """Sides that had no teacher, one too many, or different ones."""
    notes = []
    for run in baselines:
        if run.had_teacher:
            notes.append(f'The baseline {run.name} had a teacher.')
    for run in w2s:
        if not run.had_teacher:
            notes.append(f'{run.name} has no record of a teacher.')
        if run.teachers > 1:
            notes.append(f'{run.name} had {run.teachers} teachers: where the '
                         'training of one is counted, that of the others is '
                         'not.')
    scored = [run.teacher for run in w2s if run.teacher]
    # Compared by score, because a teacher's file may have moved.
    teachers = {t.get('score') or t.get('checkpoint'): t for t in scored}
    if len(teachers) > 1:
        notes.append('The weak-to-strong runs had different teachers: ' +
                     ', '.join(f'{t.get("checkpoint")} ({t.get("score")})'
                               for t in teachers.values()) + '.')
    return notes


def _of_seeds(baselines: List[Run], w2s: List[Run]) -> List[str]:
    """Seeds that differ between the sides, or are equal within one."""
    notes = []
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
    if key == 'iters_per_epoch' and told and max(told) - min(told) < 1:
        return told[:1]  # a last batch that is not full, told or left out
    if key == 'versions' and told:
        # Records of earlier versions name fewer packages.
        names = [name for name in told[0] if all(name in v for v in told)]
        told = [{name: v[name] for name in names} for v in told]
    return [value for i, value in enumerate(told) if value not in told[:i]]
