# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Choose the checkpoint of a run that is a useful teacher."""
import os
import os.path as osp
import re
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional

from rich import box
from rich.console import Console
from rich.table import Table

from mmw2s.records.metric_names import scale_warning
from mmw2s.records.operating_band import (Judgement, check_student_best,
                                          judge_teacher)
from .compare_runs import choose_metric, choose_rule
from .run import Run

__all__ = ['Candidate', 'TeacherChoice', 'checkpoint_of', 'choose_teacher']

KEEP_ALL = '--cfg-options default_hooks.checkpoint.max_keep_ckpts=-1'


class Candidate(NamedTuple):
    """A validation of a teacher's training.

    Attributes:
        row (dict): Its row of ``time_to_target.json``.
        score (float): Its score.
        judged (Judgement): How useful this teacher is for the student.
        checkpoint (str, optional): Its checkpoint file; None if there is none.
    """
    row: dict
    score: float
    judged: Judgement
    checkpoint: Optional[str]

    @property
    def point(self) -> str:
        """Its epoch or iteration, for messages."""
        epoch = self.row['epoch']
        return f'epoch {epoch:g}' if epoch is not None and epoch == int(
            epoch) else f'iteration {self.row["iter"]}'


@dataclass
class TeacherChoice:
    """The result of :func:`choose_teacher`.

    Args:
        metric (str): The metric.
        student_best (float): The best score of the student.
        candidates (list[Candidate]): All validations that have the metric.
        chosen (Candidate, optional): The earliest useful candidate, which
            needs the least training. None if there is none.
        available (Candidate, optional): The chosen candidate if its checkpoint
            exists. Else the nearest candidate with a checkpoint, a useful one
            if possible.
    """
    metric: str
    student_best: float
    candidates: List[Candidate]
    chosen: Optional[Candidate]
    available: Optional[Candidate]

    def advice(self) -> List[str]:
        """Which checkpoint to take, or what to do, in sentences."""
        if self.chosen is None:
            return [self._nothing_useful()]
        chosen, available = self.chosen, self.available
        said = [
            f'Take {chosen.point}: the earliest in the useful band, '
            f'{self.metric} {chosen.score:.4g}.'
        ]
        if available is not chosen:
            said.append(
                'Its checkpoint was deleted, or never saved. Train the '
                f'teacher again with {KEEP_ALL} to keep all' +
                (', there is none in this folder.' if available is None else
                 f'; the nearest that is there is that of {available.point}, '
                 f'{available.judged.verdict} with {available.score:.4g}.'))
        if available is not None:
            said.append(f'teacher.checkpoint: {available.checkpoint}')
        return said

    def _nothing_useful(self) -> str:
        verdicts = [c.judged.verdict for c in self.candidates]
        if 'too strong' not in verdicts:
            return ('All of this training is too weak: train the teacher '
                    'longer, or take a larger one.')
        if 'too weak' not in verdicts:
            return ('All of this training is too strong: take a smaller '
                    'teacher, or validate and save it earlier.')
        after = self.candidates[verdicts.index('too strong')].point
        return (f'The useful band was passed between two validations, by '
                f'{after}: train the teacher again and validate and save it '
                'more often.')

    def print(self, console: Optional[Console] = None) -> None:
        """Print all candidates with their judgments, and the advice."""
        table = Table(
            'epoch',
            'iter',
            self.metric,
            'as good',
            'as a teacher',
            'checkpoint',
            title='Against a student that reaches '
            f'{self.student_best:.4g} by itself',
            title_justify='left',
            box=box.SIMPLE_HEAD)
        for c in self.candidates:
            table.add_row(
                '-' if c.row['epoch'] is None else f'{c.row["epoch"]:.4g}',
                str(c.row['iter']),
                f'{c.score:.4g}',
                f'{c.judged.share:.0%}',
                c.judged.verdict,
                osp.basename(c.checkpoint) if c.checkpoint else '-',
                style='bold' if c is self.chosen else None)
        console = console or Console()
        console.print(table)
        for line in self.advice():
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def choose_teacher(run_dir: str,
                   student_best: float,
                   metric: Optional[str] = None,
                   rule: Optional[str] = None) -> TeacherChoice:
    """Find the earliest checkpoint of a run that is a useful teacher.

    Args:
        run_dir (str): The work_dir of the teacher's own training, or its
            ``time_to_target.json``, see :meth:`Run.load`.
        student_best (float): The best score that the student reaches without a
            teacher, by the same metric on the same data.
        metric (str, optional): Name of the metric. Defaults to None: chosen as
            by :func:`mmw2s.analysis.compare`.
        rule (str, optional): 'greater' or 'less': which scores are better.
            Defaults to None: chosen as by :func:`mmw2s.analysis.compare`.

    Raises:
        FileNotFoundError: If the folder has no record.
        ValueError: If the run does not have the metric, or ``student_best`` is
            not positive or has another scale than the metric.

    Examples:
        >>> choose_teacher('work_dirs/teacher', student_best=0.42).print()
    """
    run = Run.load(run_dir)
    metric = choose_metric([run], metric)
    rule = choose_rule([run], metric, rule)
    rows = run.rows(metric)
    check_student_best(student_best)
    odd = scale_warning('student_best', student_best, metric,
                        max(row['metrics'][metric] for row in rows))
    if odd:
        raise ValueError(odd)
    candidates = []
    for row in rows:
        score = row['metrics'][metric]
        candidates.append(
            Candidate(row, score, judge_teacher(score, student_best, rule),
                      checkpoint_of(row, run.checkpoints)))
    useful = [c for c in candidates if c.judged.verdict == 'useful']
    chosen = useful[0] if useful else None
    saved = [c for c in useful if c.checkpoint] or \
        [c for c in candidates if c.checkpoint]
    available = chosen and min(
        saved,
        key=lambda c: abs(c.row['iter'] - chosen.row['iter']),
        default=None)
    return TeacherChoice(metric, student_best, candidates, chosen, available)


def checkpoint_of(row: dict, folder: Optional[str]) -> Optional[str]:
    """The checkpoint of a validation; None if there is none.

    Args:
        row (dict): Its row of ``time_to_target.json``.
        folder (str, optional): The folder of the run's checkpoints.
    """
    files = _checkpoints(folder) if folder else {}
    names = [f'iter_{row["iter"]}']
    if row['epoch'] is not None:
        names.append(f'epoch_{row["epoch"]:g}')
    return next((files[name] for name in names if name in files), None)


def _checkpoints(folder: str) -> Dict[str, str]:
    """'epoch_<n>' or 'iter_<n>' -> file, including best checkpoints."""
    found: Dict[str, str] = {}
    # A name without a prefix such as "best_" is shorter, and is preferred.
    for name in sorted(os.listdir(folder), key=len):
        match = re.search(r'(?:^|_)((?:epoch|iter)_\d+)\.pth$', name)
        if match:
            found.setdefault(match.group(1), osp.join(folder, name))
    return found


if __name__ == '__main__':  # for "python -m"
    import sys

    from mmw2s.cli import main
    main(['choose-teacher', *sys.argv[1:]])
