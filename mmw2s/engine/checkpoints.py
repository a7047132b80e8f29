# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Checkpoints to go on from: written whole, and found again."""
import logging
import os
import os.path as osp
from glob import escape, glob
from typing import List, Optional

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmw2s.utils.files import atomic_write
from mmw2s.utils.weight_files import read_weight_file

__all__ = ['find_resumable', 'save_resumable']

# MMEngine's, in which it looks when a run is resumed.
_LAST = 'last_checkpoint'


def save_resumable(runner, name: str, epoch: int, iteration: int) -> str:
    """Save a checkpoint that the run can be resumed from.

    A process killed meanwhile leaves the earlier checkpoint and the mention
    of it. To be called on all ranks.

    Args:
        runner (Runner): The run.
        name (str): Name of the file in the work_dir.
        epoch (int): Epochs that are complete.
        iteration (int): Iterations that are complete.

    Returns:
        str: Its path.
    """
    path = osp.join(runner.work_dir, name)
    runner.save_checkpoint(
        runner.work_dir, f'{name}.tmp', meta=dict(epoch=epoch, iter=iteration))
    if is_main_process():
        os.replace(f'{path}.tmp', path)
        with atomic_write(osp.join(runner.work_dir, _LAST)) as file:
            file.write(path)
    return path


def find_resumable(work_dir: str) -> Optional[str]:
    """The checkpoint to go on from, if it is not the one MMEngine takes.

    MMEngine takes what stands in ``last_checkpoint``. A run that was killed
    while it wrote that, or the checkpoint itself, left it cut short, and in a
    folder that was moved it names another place. The checkpoint of that name
    in the folder is taken instead, or the newest that is whole, with a
    warning.

    Args:
        work_dir (str): The run's.

    Returns:
        str or None: The path; None where MMEngine's choice is whole, or where
        there is no checkpoint at all.

    Raises:
        ValueError: If there are checkpoints, but none is whole; the first
            checkpoint of a run that was killed within it is passed over.
    """
    pointer = osp.join(work_dir, _LAST)
    named = ''
    problem = f'{pointer} does not exist'
    if osp.isfile(pointer):
        with open(pointer, encoding='utf-8', errors='replace') as file:
            named = file.read().strip().replace('\0', '')
        problem = f'{pointer} is empty'
    if '://' in named:  # not here to be looked at
        return None
    if named:
        wrong = _problem(named)
        if wrong is None:
            return None
        problem = f'{pointer} names {named}, which {wrong}'
    found = _candidates(work_dir, named)
    lost: List[str] = []
    for path in found:
        wrong = _problem(path)
        if wrong is None:
            which = 'the newest checkpoint that is whole'
            if path != max(found, key=osp.getmtime) and not lost:
                which = 'which has its name'
            _warn(f'{problem}. The run goes on from {path}, {which}' +
                  ''.join(f'; {other}' for other in lost))
            return path
        lost.append(f'{path} {wrong}')
    if len(lost) == 1 and not osp.isfile(pointer):
        # Killed within its first checkpoint.
        _warn(f'{lost[0]}, and there is no other checkpoint in {work_dir}: '
              'the run begins anew')
    elif lost:
        raise ValueError(
            f'there is no checkpoint to resume from in {work_dir}: {problem}; '
            f'{"; ".join(lost)}. Give one as --resume PATH, or leave --resume '
            'out to begin anew')
    return None


def _candidates(work_dir: str, named: str) -> List[str]:
    """Checkpoints, the one of the name first, then by their age.

    In a folder that was copied the age tells little.
    """
    paths = {
        osp.realpath(path): path
        for folder in (osp.dirname(named), work_dir) if folder
        for path in glob(osp.join(escape(folder), '*.pth')) if osp.isfile(path)
    }
    name = osp.basename(named)
    return sorted(
        paths.values(),
        key=lambda path: (osp.basename(path) == name, osp.getmtime(path)),
        reverse=True)


def _problem(path: str) -> Optional[str]:
    """Why a run cannot be resumed from a file, None if it can."""
    if not osp.isfile(path):
        return 'does not exist'
    try:
        # Whatever it holds, as MMEngine reads it when it resumes.
        content = read_weight_file(path, trust=True)
    except Exception as error:  # of any kind, where a file is damaged
        return f'is damaged or was cut short ({type(error).__name__})'
    meta = content.get('meta') if isinstance(content, dict) else None
    if not isinstance(meta, dict) or not {'epoch', 'iter'} <= meta.keys() or \
            'optimizer' not in content:
        return 'was not saved to be resumed from (it lacks the optimizer)'
    return None


def _warn(text: str) -> None:
    if int(os.environ.get('RANK', 0)) == 0:
        print_log(f'{text}.', level=logging.WARNING)
