# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The first score of a started student beside its baseline's."""
import logging
import math
import os.path as osp
from typing import Any, Dict, Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from mmw2s.records.files import EVENTS, FILENAME, read_record, warn
from mmw2s.records.history import check_history
from mmw2s.records.metric_names import known_rule, main_metric

__all__ = ['compare_with_baseline', 'find_baseline']

# Epochs on record are rounded to six digits.
_ROUNDING = 1e-5


def find_baseline(work_dir: str) -> Optional[str]:
    """The history of a run's baseline, if there is one beside it.

    It lies in ``<work_dir>_baseline``, where ``tools/train.py --no-distill``
    writes it. The baseline of a run in ``<name>_started`` or ``<name>_grown``
    may also lie in ``<name>_baseline``: such configs shorten another one.

    Args:
        work_dir (str): The work_dir of the run.

    Returns:
        str or None: Path of the ``time_to_target.json``. None if there is
        none, or the run beside it has a teacher too.
    """
    work_dir = work_dir.rstrip('/')
    names = [work_dir]
    names += [
        work_dir[:-len(ending)] for ending in ('_started', '_grown')
        if work_dir.endswith(ending)
    ]
    for name in names:
        folder = f'{name}_baseline'
        path = osp.join(folder, FILENAME)
        if osp.isfile(path) and not osp.exists(osp.join(folder, EVENTS)):
            return path
    return None


def compare_with_baseline(
        work_dir: str,
        validation: Dict[str, Any],
        metric: Optional[str] = None,
        rule: Optional[str] = None) -> Optional[Dict[str, Any]]:
    """Compare a validation with the baseline's of that epoch, and log it.

    If the baseline did not validate then, its last validation before is
    taken. A student that is behind is warned of.

    Args:
        work_dir (str): The work_dir of the run.
        validation (dict): Has ``iter``, ``epoch`` and ``metrics``.
        metric (str, optional): Name of the metric. Defaults to None: the main
            one of the validation.
        rule (str, optional): 'greater' or 'less': which scores are better.
            Defaults to None: inferred from the metric's name.

    Returns:
        dict or None: ``metric``, the scores ``student`` and ``baseline``,
        ``epoch``, ``baseline_epoch`` and ``path``, equal on all ranks. None if
        there is nothing to compare.
    """
    box = [
        _compare(work_dir, validation, metric, rule)
        if is_main_process() else None
    ]
    broadcast_object_list(box)
    found, = box
    if found is not None:
        _tell(found, rule or known_rule(found['metric']))
    return found


def _compare(work_dir: str, validation: Dict[str, Any], metric: Optional[str],
             rule: Optional[str]) -> Optional[Dict[str, Any]]:
    path = find_baseline(work_dir)
    if path is None:
        return None
    if metric not in validation['metrics']:
        # The stop rule has none, or one that no validation gives.
        metric, rule = main_metric(validation['metrics']), None
    if metric is None or (rule or known_rule(metric)) is None:
        return None
    try:
        content = read_record(path)
        check_history(content, path)
    except (OSError, ValueError) as error:
        warn(f'The start is not compared with its baseline: {error}')
        return None
    until = validation['epoch'] + _ROUNDING
    rows = [row for row in content['history'] if row['epoch'] <= until]
    score = validation['metrics'].get(metric)
    known = rows[-1]['metrics'].get(metric) if rows else None
    if score is None or known is None or not math.isfinite(score):
        return None
    return dict(
        metric=metric,
        student=score,
        baseline=known,
        epoch=validation['epoch'],
        baseline_epoch=rows[-1]['epoch'],
        path=path)


def _tell(found: Dict[str, Any], rule: str) -> None:
    score, known = found['student'], found['baseline']
    behind = score < known if rule == 'greater' else score > known
    compared = (f'at epoch {found["epoch"]:.2f} the student has '
                f'{found["metric"]} {score:.4g}, its baseline had {known:.4g} '
                f'at epoch {found["baseline_epoch"]:.2f} ({found["path"]})')
    if not behind:
        print_log(f'After its start, {compared}.', logger='current')
        return
    print_log(
        f'The start seems to harm: {compared}. A single validation may be '
        'chance. If the next one says the same, leave the start out '
        '(start=None), or let the learning rate rise more slowly (the '
        'LinearLR of param_scheduler).',
        logger='current',
        level=logging.WARNING)
