# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Save checkpoints to resume from, and find one that is not damaged."""
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

# The file in which MMEngine looks for the checkpoint to resume from.
_LAST = 'last_checkpoint'


def save_resumable(runner, name: str, epoch: int, iteration: int) -> str:
    """Save a checkpoint that the run can be resumed from.

    If the process is killed meanwhile, ``last_checkpoint`` still names the
    earlier checkpoint. To be called on all ranks.

    Args:
        runner (Runner): The run.
        name (str): Name of the file in the work_dir.
        epoch (int): Number of complete epochs.
        iteration (int): Number of complete iterations.

    Returns:
        str: Path of the checkpoint.
    """
    path = osp.join(runner.work_dir, name)
    runner.save_checkpoint(
        runner.work_dir, f'{name}.tmp', meta=dict(epoch=epoch, iter=iteration))
    if is_main_process():
        os.replace(f'{path}.tmp', path)
        with atomic_write(osp.join(runner.work_dir, _LAST)) as file:
            file.write(path)
    return path


def has_last_checkpoint(work_dir: str) -> bool:
    """Whether a work_dir names the checkpoint that MMEngine resumes from."""
    return osp.isfile(osp.join(work_dir, _LAST))


def find_resumable(work_dir: str) -> Optional[str]:
    """The checkpoint to resume from, if MMEngine's choice does not work.

    MMEngine takes the path in ``last_checkpoint``. This fails if the run was
    killed while it wrote that file or the checkpoint, or if the folder was
    moved. Then the checkpoint of that name in the work_dir is taken, or the
    newest one that is not damaged, with a warning.

    Args:
        work_dir (str): The work_dir of the run.

    Returns:
        str or None: Path of the checkpoint. None if MMEngine's choice works,
        or if the run has to start from the beginning.

    Raises:
        ValueError: If there are checkpoints, but all are damaged. (A damaged
            first checkpoint without ``last_checkpoint`` is no error: the run
            was killed while it wrote it.)
    """
    pointer = osp.join(work_dir, _LAST)
    named = ''
    problem = f'{pointer} does not exist'
    if osp.isfile(pointer):
        with open(pointer, encoding='utf-8', errors='replace') as file:
            named = file.read().strip().replace('\0', '')
        problem = f'{pointer} is empty'
    if '://' in named:  # cannot be checked here
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
    """Checkpoints, first those with this name, then from new to old.

    The name comes first because the times of copied files say little.
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
        # Trusted, because MMEngine reads it in the same way on resume.
        content = read_weight_file(path, trust=True)
    except Exception as error:  # a damaged file may raise anything
        return f'is damaged or was cut short ({type(error).__name__})'
    meta = content.get('meta') if isinstance(content, dict) else None
    if not isinstance(meta, dict) or not {'epoch', 'iter'} <= meta.keys() or \
            'optimizer' not in content:
        return 'was not saved to be resumed from (it lacks the optimizer)'
    return None


def _warn(text: str) -> None:
    if int(os.environ.get('RANK', 0)) == 0:
        print_log(f'{text}.', level=logging.WARNING)
