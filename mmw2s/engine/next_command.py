# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Tell a user the command that comes after a run."""
import os.path as osp
import shlex
from typing import Optional

from mmw2s.records.files import EVENTS

__all__ = ['next_command', 'tell_next_command']


def next_command(work_dir: str) -> str:
    """The command that compares a run with its baseline.

    ``train.py --no-distill`` writes the baseline to ``<work_dir>_baseline``.
    If there is no run at that place, the command has a word in capitals.

    Args:
        work_dir (str): The work_dir of the run that has ended.
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
    """Log :func:`next_command` after a training with validations.

    Args:
        runner (Runner): The runner of the training.
        unless (type, optional): A hook class that logs it too: if the runner
            has such a hook, nothing is logged here. Defaults to None.
    """
    told = unless and any(isinstance(hook, unless) for hook in runner.hooks)
    if runner.val_loop is not None and not told:
        runner.logger.info('To compare baseline and weak-to-strong run: '
                           f'{next_command(runner.work_dir)}')
