# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The metric that compares student and teacher, and the teacher's score."""
import math
from typing import Mapping, Optional, Sequence, Tuple

from mmengine.logging import print_log

from mmw2s.records.metric_names import main_metric, means_no_ground_truth

__all__ = ['deciding_metric', 'deciding_score']


def deciding_metric(names: Sequence[str]) -> str:
    """The main metric of an evaluator.

    Args:
        names (Sequence[str]): Names of the metrics, in the evaluator's order.

    Raises:
        ValueError: If no metric is known as the main one.
    """
    main = main_metric(names)
    if main is None:
        raise ValueError(
            'the evaluator gives several metrics, and none that is known '
            f'as the main one: {", ".join(names)}. Name the one that '
            'decides, and what is better: stop=dict(type='
            '"SurpassTeacher", metric=..., rule="greater" or "less")')
    return main


def deciding_score(metric: str,
                   metrics: Mapping[str, Optional[float]],
                   owner: str = 'SurpassTeacher') -> Tuple[str, float]:
    """The teacher's score by the metric that decides.

    Args:
        metric (str): Name of the metric, or ``'auto'``.
        metrics (Mapping[str, float]): Name -> the teacher's score.
        owner (str): Whose metric it is, for messages.

    Returns:
        Tuple[str, float]: Name of the metric, and the score.

    Raises:
        ValueError: If there is no such metric, or its value is no score.
    """
    if not metrics:
        raise ValueError(
            'the evaluator gives no metric for the teacher; with mmdet '
            'this means that the teacher detects nothing on the '
            'validation set. Check its checkpoint and its classes')
    if metric == 'auto':
        metric = deciding_metric(list(metrics))
        if len(metrics) > 1:
            print_log(
                f'{metric} decides, of {", ".join(metrics)}. stop.metric '
                'names another one.',
                logger='current')
    if metric not in metrics:
        raise ValueError(f'{owner}.metric is {metric!r}, but the '
                         f'evaluator gives {", ".join(metrics)}')
    score = metrics[metric]
    if score is None or not math.isfinite(score) or \
            means_no_ground_truth(metric, score):
        raise ValueError(
            f'the teacher\'s {metric} is not a finite number, or '
            'COCO\'s -1, which says that there is no ground truth: check '
            'that the validation set has annotations of the classes '
            'that its metainfo names, and the teacher\'s checkpoint')
    return metric, float(score)
