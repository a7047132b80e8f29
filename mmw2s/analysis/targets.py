# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""first@target: the first validation at which a metric reaches a value."""
import math
from typing import Iterable, Optional

from mmw2s.records.metric_names import known_rule

__all__ = ['infer_rule', 'is_reached', 'first_at_target']


def infer_rule(metric: str, rule: Optional[str] = None) -> str:
    """Tell whether greater or smaller values of a metric are better.

    Args:
        metric (str): Name of the metric, e.g. ``'coco/bbox_mAP'``.
        rule (str, optional): 'greater' or 'less'. None: inferred from the
            name, see :func:`~mmw2s.records.metric_names.known_rule`.

    Returns:
        str: 'greater' or 'less'.

    Raises:
        ValueError: If ``rule`` is neither, or cannot be inferred.
    """
    if rule not in ('greater', 'less', None):
        raise ValueError(
            f'rule should be "greater", "less" or None, but got {rule!r}')
    rule = rule or known_rule(metric)
    if rule is None:
        raise ValueError(
            f'cannot tell from its name whether greater or smaller values of '
            f'the metric "{metric}" are better: give rule="greater" or '
            'rule="less"')
    return rule


def is_reached(score: Optional[float], value: float, rule: str) -> bool:
    """Whether ``score`` is as good as ``value``; None and NaN never are."""
    if score is None or math.isnan(score):
        return False
    return score >= value if rule == 'greater' else score <= value


def first_at_target(history: Iterable[dict], metric: str, value: float,
                    rule: str) -> Optional[dict]:
    """Find the first validation at which ``metric`` reached ``value``.

    Args:
        history (Iterable[dict]): Rows of ``time_to_target.json``, in order.
        metric (str): Name of the metric. A row without it counts as not
            reached (mmdet logs no metric where nothing was detected).
        value (float): The target.
        rule (str): 'greater' or 'less'.

    Returns:
        dict or None: The row without its metrics, but with the ``score``.
        None if the target was never reached.
    """
    for row in history:
        score = row['metrics'].get(metric)
        if is_reached(score, value, rule):
            found = {k: v for k, v in row.items() if k != 'metrics'}
            return dict(found, score=score)
    return None
