# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Targets: values of a metric, and the validations that reached them."""
import logging
import math
from typing import Any, Dict, Iterable, List, Optional

from mmengine.logging import print_log

from mmw2s.records.metric_names import known_rule, rule_warning, scale_warning
from mmw2s.utils.fields import check_number, check_text

__all__ = [
    'check_targets', 'first_at_target', 'first_for_good', 'first_to_stay',
    'infer_rule', 'is_reached', 'make_targets', 'target_results',
    'tell_reached', 'warn_of_unknown'
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


def make_targets(name: str,
                 targets: Any,
                 rule: Optional[str] = None) -> List[dict]:
    """One dict a target, with a warning of what is odd about it.

    Args:
        name (str): The owner and its field.
        targets (dict, optional): A number or a list of numbers by metric.
        rule (str, optional): 'greater' or 'less', for all metrics. Defaults
            to None: inferred from each name.

    Returns:
        list[dict]: With ``metric``, ``value`` and ``rule``.

    Raises:
        ValueError: For what is no target, or if a rule cannot be inferred.
    """
    made = [
        dict(metric=metric, value=float(value), rule=infer_rule(metric, rule))
        for metric, values in check_targets(name, targets).items()
        for value in values
    ]
    for target in made:
        metric, value = target['metric'], target['value']
        for warning in (rule_warning(metric, rule),
                        scale_warning('A target', value, metric)):
            if warning is not None:
                print_log(warning, logger='current', level=logging.WARNING)
    return made


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


def first_to_stay(history: Iterable[dict], metric: str, value: float,
                  rule: str) -> Optional[dict]:
    """Find the first validation from which on all others reached a value too.

    It is stricter than :func:`first_for_good`, and known at the end alone. A
    last validation that is the only one counts.

    Args and result are those of :func:`first_at_target`.
    """
    found = None
    for row in reversed(list(history)):
        score = row['metrics'].get(metric)
        if not is_reached(score, value, rule):
            break
        found = _found(row, score)
    return found


def target_results(targets: Iterable[dict],
                   history: Iterable[dict]) -> List[dict]:
    """The targets with the first validations that reached them.

    Args:
        targets (Iterable[dict]): Of :func:`make_targets`.
        history (Iterable[dict]): See :func:`first_at_target`.

    Returns:
        list[dict]: Each target with ``reached`` and ``reached_for_good``, a
        row or None.
    """
    return [
        dict(
            target,
            reached=first_at_target(history, **target),
            reached_for_good=first_for_good(history, **target))
        for target in targets
    ]


def tell_reached(result: dict) -> None:
    """Log that a target is reached, of those of :func:`target_results`."""
    row = result['reached']
    print_log(
        f'Target reached: {result["metric"]} {row["score"]:.4g} '
        f'({"<=" if result["rule"] == "less" else ">="} '
        f'{result["value"]:g}) at epoch {row["epoch"]:.4g}, iteration '
        f'{row["iter"]}, after {row["train_seconds"]:.1f} s of training, '
        f'{row["wall_seconds"]:.1f} s in all.',
        logger='current')


def warn_of_unknown(targets: Iterable[dict], metrics: Iterable[str]) -> None:
    """Log the targets for metrics that a validation did not give."""
    unknown = sorted({target['metric'] for target in targets} - {*metrics})
    if unknown:
        print_log(
            f'TimeToTargetHook has targets for {", ".join(unknown)}, but the '
            f'validation gives: {", ".join(metrics)}. These targets cannot be '
            'reached.',
            logger='current',
            level=logging.WARNING)


def _found(row: dict, score: float) -> dict:
    found = {k: v for k, v in row.items() if k != 'metrics'}
    return dict(found, score=score)
