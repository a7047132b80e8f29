# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Check the targets of a run against the metrics of the evaluator."""
import logging
from typing import Dict, List, Optional

from mmengine.logging import print_log

from mmw2s.records.metric_names import target_warnings
from mmw2s.utils.kinds import is_kind

__all__ = ['warn_of_targets', 'warnings_of_targets']


def warnings_of_targets(runner, metrics: Dict[str,
                                              Optional[float]]) -> List[str]:
    """Problems of the targets of the run's ``TimeToTargetHook``.

    Args:
        runner (Runner): The run.
        metrics (dict[str, float]): Name -> the teacher's score. Empty if the
            teacher was not scored; then nothing is checked.
    """
    return target_warnings(_targets(runner), metrics) if metrics else []


def warn_of_targets(runner, metrics: Dict[str, Optional[float]]) -> None:
    """Log :func:`warnings_of_targets` before training.

    Warnings that need no scores are left out: they were logged when the hook
    was built.
    """
    told = [
        line for target in _targets(runner)
        for line in target_warnings([target], {target['metric']: None})
    ]
    for line in warnings_of_targets(runner, metrics):
        if line not in told:
            print_log(line, logger='current', level=logging.WARNING)


def _targets(runner) -> List[dict]:
    return [
        target for hook in runner.hooks if is_kind(hook, 'TimeToTargetHook')
        for target in hook.targets
    ]
