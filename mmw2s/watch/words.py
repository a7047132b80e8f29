# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What is known of a run, in words: the same in every display."""
import time
from typing import Iterator, List, Optional, Sequence

from .progress import RunProgress
from .stage import ENDED, Row

__all__ = [
    'URGENCY', 'counts', 'duration', 'facts_of', 'heading', 'left', 'place',
    'score', 'summary', 'targets', 'teacher'
]

#: The states, the one first that somebody may have to look at.
URGENCY = ('failed', 'stalled', 'running', 'waiting', 'finished')


def duration(seconds: float) -> str:
    """Seconds in the two units that matter.

    Examples:
        >>> duration(65), duration(3725)
        ('1 min 05 s', '1 h 02 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f'{rest} s'
    if minutes < 10:
        return f'{minutes} min {rest:02d} s'
    minutes = round(seconds / 60)
    if minutes < 60:
        return f'{minutes} min'
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f'{hours} h {minutes:02d} min'
    return f'{hours // 24} d {hours % 24} h'


def place(run: RunProgress) -> str:
    """Where a run is: its epoch, or its iteration."""
    if run.epoch is not None:
        whole = f' of {run.max_epochs:g}' if run.max_epochs else ''
        return f'epoch {run.epoch:.1f}{whole}'
    whole = f' of {run.max_iters}' if run.max_iters else ''
    return f'iteration {run.iteration}{whole}'


def left(row: Row) -> str:
    """When a row will have ended; empty where that is not known."""
    if row.eta is None:
        return ''
    if row.state == 'waiting':
        return f'takes {duration(row.eta)}'
    more = ' + validations' if row.run and row.run.validated and \
        row.run.validation_seconds is None else ''
    return f'{duration(row.eta)} left{more}'


def score(run: RunProgress) -> str:
    """Its latest score; empty before the first one.

    A validation without a score is told: the run may have diverged.
    """
    if not run.curve:
        return ''
    last = run.curve[-1]
    lacks = run.validated[-1] > last.iteration
    best = f' (best {run.best.score:.4g})' \
        if run.best and (lacks or run.best.score != last.score) else ''
    told = 'has no score now' if lacks else f'{last.score:.4g}'
    return f'{run.metric} {told}{best}'


def teacher(run: RunProgress) -> str:
    """How it stands with its teacher; empty if it has none."""
    if not run.had_teacher:
        return ''
    named = 'teacher' if run.teacher is None else f'teacher {run.teacher:.4g}'
    if run.stop is None:
        return f'{named}, distilling'
    if run.stop.iteration == 0:
        return f'{named}, as a start alone'
    return f'{named}, until {_at(run.stop.epoch, run.stop.iteration)}'


def targets(run: RunProgress) -> List[str]:
    """Its targets, and when each was reached."""
    told = []
    for goal in run.targets:
        named = f'{goal.value:g}' if goal.metric == run.metric else \
            f'{goal.metric} {goal.value:g}'
        when = 'not yet' if goal.iteration is None else \
            _at(goal.epoch, goal.iteration)
        told.append(f'target {named}: {when}')
    return told


def summary(row: Row) -> str:
    """All of a row in one line."""
    parts = [row.state]
    run = row.run
    if run is not None and row.state != 'waiting':
        parts += [place(run), score(run), teacher(run), *targets(run)]
    parts.append(left(row))
    if run is not None and run.problem:
        parts.append(f'cannot be read: {run.problem}')
    return ', '.join(part for part in parts if part)


def counts(rows: Sequence[Row]) -> str:
    """How many rows are in which state."""
    states = [row.state for row in rows]
    return ', '.join(f'{states.count(state)} {state}' for state in URGENCY
                     if state in states)


def heading(rows: Sequence[Row], eta: Optional[float] = None) -> str:
    """How many rows are in which state, and when all will have ended.

    Args:
        rows (Sequence[Row]): The rows.
        eta (float, optional): Seconds to the end of the whole. Defaults to
            None: told if each row that has not ended is running now.
    """
    going = [row for row in rows if row.state not in ENDED]
    if eta is None and going and all(
            row.state == 'running' and row.eta is not None for row in going):
        eta = max(row.eta for row in going)
    if eta is None or not going:
        return counts(rows)
    return f'{counts(rows)}, {duration(eta)} left'


def facts_of(row: Row) -> Iterator[str]:
    """What has happened so far, each once and in order."""
    run = row.run
    if row.state == 'waiting':
        yield 'waiting'
        return
    yield 'started'
    if run is not None and run.started is not None:
        yield f'its log is in {run.started}'
    if run is not None:
        yield from _facts_of_run(run)
    if row.state == 'stalled':
        since = time.strftime('%H:%M:%S', time.localtime(run.written_at))
        yield f'stalled: nothing was written since {since}'
    elif row.state in ENDED:
        yield row.state


def _facts_of_run(run: RunProgress) -> Iterator[str]:
    if run.teacher is not None:
        yield f'the teacher has {run.metric} {run.teacher:.4g}'
    happened = [(point.iteration, 0, f'{_at(point.epoch, point.iteration)}: '
                 f'{run.metric} {point.score:.4g}') for point in run.curve]
    for goal in run.targets:
        if goal.iteration is not None:
            happened.append(
                (goal.iteration, 1, f'{goal.metric} {goal.value:g} reached at '
                 f'{_at(goal.epoch, goal.iteration)}'))
    if run.stop is not None:
        happened.append((run.stop.iteration, 2, 'distillation off at '
                         f'{_at(run.stop.epoch, run.stop.iteration)}: '
                         f'{run.stop.reason}'))
    for _, _, fact in sorted(happened):
        yield fact
    if run.problem:
        yield f'cannot be read: {run.problem}'


def _at(epoch: Optional[float], iteration: Optional[int]) -> str:
    return f'iteration {iteration}' if epoch is None else f'epoch {epoch:.4g}'
