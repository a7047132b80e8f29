# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Targets: values of a metric, and the validations that reached them."""
import math
from typing import Any, Dict, Iterable, List, Optional

from mmw2s.records.metric_names import known_rule
from mmw2s.utils.fields import check_number, check_text

__all__ = [
    'check_targets', 'first_at_target', 'first_for_good', 'infer_rule',
    'is_reached'
]


def check_targets(name: str, targets: Any) -> Dict[str, List[float]]:
    """Check the targets of a config.

    Args:
        name (str): The owner and its field.
        targets (dict, optional): Metric -> a number or a list of numbers.

    Returns:
        dict[str, list[float]]: Metric -> a list of numbers.

    Raises:
        ValueError: If they have another form. The message names the metric.

    Examples:
        >>> check_targets('targets', {'coco/bbox_mAP': 0.3})
        {'coco/bbox_mAP': [0.3]}
    """
    if targets is not None and not isinstance(targets, dict):
        raise ValueError(f"{name} should be a dict, e.g. {{'coco/bbox_mAP': "
                         f'[0.2, 0.3]}}, but got {targets!r}')
    lists = {}
    for metric, values in (targets or {}).items():
        check_text(f'A key of {name}', metric, 'the name of a metric')
        if not isinstance(values, (list, tuple)):
            values = [values]
        if not values:
            raise ValueError(f'{name}[{metric!r}] should name at least one '
                             'value, but is empty')
        for value in values:
            check_number(f'{name}[{metric!r}]', value)
        lists[metric] = list(values)
    return lists


def infer_rule(metric: str, rule: Optional[str] = None) -> str:
    """Tell whether greater or smaller scores of a metric are better.

    Args:
        metric (str): Name of the metric, such as ``'coco/bbox_mAP'``.
        rule (str, optional): 'greater' or 'less'. Defaults to None: inferred
            from the name, see
            :func:`~mmw2s.records.metric_names.known_rule`.

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
    """Whether a score is at least as good as a value.

    None and NaN reach no value.
    """
    if score is None or math.isnan(score):
        return False
    return score >= value if rule == 'greater' else score <= value


def first_at_target(history: Iterable[dict], metric: str, value: float,
                    rule: str) -> Optional[dict]:
    """Find the first validation at which ``metric`` reached ``value``.

    Args:
        history (Iterable[dict]): Rows of ``time_to_target.json``, in order.
        metric (str): Name of the metric. A row without it has not reached the
            target (mmdet logs no metric if nothing was detected).
        value (float): The target.
        rule (str): 'greater' or 'less': which scores are better.

    Returns:
        dict or None: The row, with ``score`` instead of ``metrics``. None if
        the target was never reached.
    """
    for row in history:
        score = row['metrics'].get(metric)
        if is_reached(score, value, rule):
            return _found(row, score)
    return None


def first_for_good(history: Iterable[dict], metric: str, value: float,
                   rule: str) -> Optional[dict]:
    """Find the first of two validations in a row that reached a value.

    One noisy validation may reach a value by chance. The last validation of a
    history has no next one, so it does not count.

    Args and result are those of :func:`first_at_target`.
    """
    rows = list(history)
    reached = [
        is_reached(row['metrics'].get(metric), value, rule) for row in rows
    ]
    for row, now, then in zip(rows, reached, reached[1:]):
        if now and then:
            return _found(row, row['metrics'][metric])
    return None


def _found(row: dict, score: float) -> dict:
    found = {k: v for k, v in row.items() if k != 'metrics'}
    return dict(found, score=score)
