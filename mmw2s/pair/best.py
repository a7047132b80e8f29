# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The student's best, and the teacher's checkpoint that is chosen by it."""
import json
import os.path as osp
import shutil
from typing import Any, Dict, Optional, Sequence, Tuple

from mmw2s.analysis.compare_runs import choose_metric, choose_rule, load_runs
from mmw2s.analysis.run import Run
from mmw2s.analysis.side import Side
from mmw2s.analysis.teacher_choice import checkpoint_of
from mmw2s.records.operating_band import judge_teacher
from mmw2s.utils.files import atomic_write, whole_file

__all__ = [
    'best_of', 'choose_checkpoint', 'find_checkpoint', 'judged_by',
    'keep_checkpoint'
]


def best_of(baselines: Sequence[str],
            metric: Optional[str] = None,
            rule: Optional[str] = None) -> Optional[float]:
    """The best score of a student without a teacher, the median over seeds.

    Args:
        baselines (Sequence[str]): Work_dirs of its runs.
        metric, rule: See :func:`mmw2s.analysis.compare`.

    Returns:
        float | None: None without a run.
    """
    if not baselines:
        return None
    runs = load_runs(baselines)
    return Side('baseline', runs, *_judged(runs, metric, rule)).median_best()


def judged_by(baselines: Sequence[str],
              metric: Optional[str] = None,
              rule: Optional[str] = None) -> Tuple[Optional[str], ...]:
    """Metric and rule of :func:`best_of`, by which a teacher is judged too.

    Args:
        baselines (Sequence[str]): See :func:`best_of`.
        metric, rule: See :func:`mmw2s.analysis.compare`.

    Returns:
        tuple: Both, or what was given where there is no baseline.
    """
    return _judged(load_runs(baselines), metric, rule) if baselines else \
        (metric, rule)


def _judged(runs: Sequence[Run], metric: Optional[str],
            rule: Optional[str]) -> Tuple[str, str]:
    metric = choose_metric(runs, metric)
    return metric, choose_rule(runs, metric, rule)


def choose_checkpoint(run_dir: str,
                      out: str,
                      student_best: Optional[float],
                      share: float,
                      metric: Optional[str] = None,
                      rule: Optional[str] = None) -> Dict[str, Any]:
    """Choose a checkpoint of the teacher's training, and copy it.

    It is the earliest that scores at least ``share`` of the student's best,
    or else the best one. The choice is written beside the copy, last of all:
    where it lies, it has been made.

    Args:
        run_dir (str): Work_dir of the teacher's training.
        out (str): Path of the copy; the choice goes to ``<out>.json``.
        student_best (float, optional): What the student reaches at best
            without a teacher, if that is known.
        share (float): See above.
        metric, rule: See :func:`mmw2s.analysis.compare`.

    Returns:
        dict: With ``metric``, ``score``, ``epoch``, ``iter``, ``checkpoint``,
        ``share`` (of the student's best, None if that is not known) and
        ``judged``, a text.

    Raises:
        ValueError: If no validation has a checkpoint and a score.
    """
    path = f'{out}.json'
    if osp.isfile(path):
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    return keep_checkpoint(
        find_checkpoint(run_dir, student_best, share, metric, rule), out)


def find_checkpoint(run_dir: str,
                    student_best: Optional[float],
                    share: float,
                    metric: Optional[str] = None,
                    rule: Optional[str] = None) -> Dict[str, Any]:
    """The choice of :func:`choose_checkpoint`; nothing is written."""
    run = Run.load(run_dir)
    metric, rule = _judged([run], metric, rule)
    saved = [(row, checkpoint_of(row, run_dir)) for row in run.rows(metric)]
    saved = [(row, file) for row, file in saved if file is not None]
    if not saved:
        raise ValueError(f'no validation of the teacher in {run_dir} has both '
                         f'a checkpoint and a {metric}: it cannot teach')
    better = max if rule == 'greater' else min
    row, checkpoint = better(saved, key=lambda one: one[0]['metrics'][metric])
    judged = 'the student\'s best is not known (--best, --baseline)'
    share_of_best = None
    if student_best is not None:
        enough = [(row, file) for row, file in saved if judge_teacher(
            row['metrics'][metric], student_best, rule).share >= share]
        row, checkpoint = enough[0] if enough else (row, checkpoint)
        judgement = judge_teacher(row['metrics'][metric], student_best, rule)
        judged, share_of_best = str(judgement), judgement.share
    return dict(
        metric=metric,
        score=row['metrics'][metric],
        epoch=row['epoch'],
        iter=row['iter'],
        checkpoint=checkpoint,
        share=share_of_best,
        judged=judged)


def keep_checkpoint(choice: Dict[str, Any], out: str) -> Dict[str, Any]:
    """Copy a chosen checkpoint, then write the choice beside it.

    Args:
        choice (dict): Of :func:`find_checkpoint`.
        out (str): Path of the copy.

    Returns:
        dict: The choice.
    """
    with whole_file(out) as copy:
        shutil.copyfile(choice['checkpoint'], copy)
    with atomic_write(f'{out}.json') as file:
        json.dump(choice, file, indent=1)
    return choice
