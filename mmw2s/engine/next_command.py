# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What to type once a run is over."""
import os.path as osp
import shlex
from typing import Optional

from mmw2s.records.files import EVENTS

__all__ = ['next_command', 'tell_next_command']


def next_command(work_dir: str) -> str:
    """The command that compares a run with its baseline.

    Args:
        work_dir (str): Of the run that is over. Its baseline is known where
            ``train.py --no-distill`` has put it; else a word in capitals
            stands for the run that is missing.
    """
    this = work_dir.rstrip('/') or work_dir
    if osp.isfile(osp.join(this, EVENTS)):
        baseline = f'{this}_baseline'
        sides = (baseline if osp.isdir(baseline) else 'BASELINE_RUN', this)
    else:
        stem = this[:-len('_baseline')]
        known = this.endswith('_baseline') and osp.isfile(
            osp.join(stem, EVENTS))
        sides = (this, stem if known else 'RUN_WITH_TEACHER')
    baseline, w2s = map(shlex.quote, sides)
    return f'mmw2s compare {baseline} --w2s {w2s}'


def tell_next_command(runner, unless: Optional[type] = None) -> None:
    """Log it, at the end of a training that was validated.

    Args:
        runner (Runner): That of the training.
        unless (type, optional): A hook that does so itself. Defaults to None.
    """
    told = unless and any(isinstance(hook, unless) for hook in runner.hooks)
    if runner.val_loop is not None and not told:
        runner.logger.info('To compare baseline and weak-to-strong run: '
                           f'{next_command(runner.work_dir)}')
