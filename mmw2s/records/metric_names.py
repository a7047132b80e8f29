# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Facts that follow from a metric's name: which scores are better, which
metric is the main one, and the scale.

The names are those of the evaluators of mmdet, mmpretrain, mmseg, mmpose and
mmw2s. A name is a path: ``<prefixes>/<name>``.
"""
import math
import re
from typing import Iterable, List, Mapping, Optional

from mmengine.hooks import CheckpointHook

__all__ = [
    'known_rule', 'main_metric', 'means_no_ground_truth', 'rule_warning',
    'scale_of', 'scale_warning', 'target_warnings'
]

_AVERAGES = r'((bbox|segm|keypoints?|proposal|youtube_vis)_)?m?A[PR]'
#: Average precision and recall of COCO, LVIS, VOC and similar evaluators.
_AP = re.compile(rf'^{_AVERAGES}([ _@]?[\d.smlrcfAR@()M L:_]*|_(short|mid|'
                 r'long|very_long|copypaste))$')

# Match the last part of a name in lower case. They are tried before MMEngine's
# rules, which match parts of words: "map" in "mape".
_LESS = re.compile(
    r'^((fid|kid)_.*|denoising_mse|.*loss|loss_.*|.*error|(p-|n-)?mpjpe|epe|'
    r'nme|mmr|mae|s?mape|r?mse|rmse_log|abs_rel|sq_rel|log10|silog|'
    r'l[12]_distance|idsw|f[pn](_\d+)?|id(fp|fn)|frag|ml|sad|lpips|niqe)$')
_GREATER = re.compile(
    r'^(recall.*|.*_recall|m?precision.*|.*_precision(@\d+)?|'
    r'f1(-score)?(_.*)?|m?fscore(\..*)?|m?dice(\..*)?|m?iou(\..*)?|ciou|giou|'
    r'pq|sq|rq|(pq|sq|rq)_(th|st)|hota|assa|deta|mot[ap]|id(f1|p|r|tp)|mt|'
    r'tp(_\d+)?|ji|r\d+|(base|novel)_ap\d*|(head |torso |tp|m)?pckh?.*|auc|'
    r'anls|gqa|cider|spice|meteor|rouge_l|bleu_\d|psnr|ssim|ms_ssim|d[123])$')

# Main metrics of evaluators, in order of preference. An evaluator's first
# metric need not be the main one: with CocoMetric(classwise=True) the
# precision of each class comes before mAP.
_MAIN = [
    re.compile(pattern)
    for pattern in (r'^bbox_m?AP$', r'^mAP$', r'^(keypoints_)?AP$',
                    r'^segm_m?AP$', r'^PQ$', r'^mIoU$', r'^top1(_thr.*)?$',
                    r'^acc(uracy)?$', r'^HOTA$', r'^mAP@\d+$', r'^Recall@1$',
                    r'^AR@1000$', r'^f1-score$', r'^F1$',
                    r'^(youtube_vis_)?mAP$', r'^AP50$', r'^PCKh?$', r'^cIoU$',
                    r'^fid_.*$', r'^CIDEr$')
]

_PERCENT = re.compile(
    r'(^|/)(accuracy|single-label|multi-label|retrieval|coco_panoptic)/|'
    r'(^|/)(top\d+(_thr.*)?|[PSR]Q(_th|_st)?|aAcc|mIoU|mAcc|mDice|mFscore|'
    r'mPrecision|mRecall|cIoU|(occluded|separated)_recall)$')
_UNIT = re.compile(
    r'(^|/)(coco|lvis|lvis_fixed_ap|pascal_voc|openimages|cityscapes|'
    r'youtube_vis|crowd_human|dod|reid-metric)/|(^|/)(HOTA|MOTA|IDF1)$')


def _last(metric: str) -> str:
    return metric.rsplit('/', 1)[-1]


def known_rule(metric: str) -> Optional[str]:
    """'greater' or 'less': which scores are better; None if not known."""
    last = _last(metric)
    if _LESS.match(last.lower()):
        return 'less'
    if _AP.match(last) or _GREATER.match(last.lower()):
        return 'greater'
    try:
        # MMEngine keeps its own lists in this hook, for `save_best`.
        return CheckpointHook(save_best=metric).rules[0]
    except ValueError:
        return None


def main_metric(names: Iterable[str]) -> Optional[str]:
    """The main metric of an evaluator.

    It is the only metric, if there is one; else a well-known main metric (mAP,
    top-1, PQ, mIoU, ...); else the first one with a known rule.

    Args:
        names (Iterable[str]): Names of the metrics, in the evaluator's order.

    Returns:
        str, optional: One of the names; None if no metric has a known rule.

    Examples:
        >>> main_metric(['coco/cat_precision', 'coco/bbox_mAP'])
        'coco/bbox_mAP'
    """
    names = list(dict.fromkeys(names))
    if len(names) == 1:
        return names[0]
    for pattern in _MAIN:
        for name in names:
            if pattern.match(_last(name)):
                return name
    return next((name for name in names if known_rule(name)), None)


def means_no_ground_truth(metric: str, value: Optional[float]) -> bool:
    """Whether a value is no score but the -1 of COCO's or LVIS's evaluation,
    which means that there is no ground truth."""
    return value == -1 and bool(_AP.match(_last(metric)))


def rule_warning(metric: str, rule: Optional[str]) -> Optional[str]:
    """A warning if a rule contradicts the name of its metric, or None."""
    known = known_rule(metric)
    if rule is None or known is None or rule == known:
        return None
    return (f'rule={rule!r} says that of {metric} '
            f'{"smaller" if rule == "less" else "greater"} values are better, '
            f'but they are worse. Leave the rule out, or give {known!r}')


def scale_of(metric: str, score: Optional[float] = None) -> Optional[float]:
    """The best possible score of a metric: 1, 100, or None if not known.

    Args:
        metric (str): Name of the metric.
        score (float, optional): A measured score, which helps if the name does
            not tell. Defaults to None.
    """
    if known_rule(metric) == 'less':
        return None
    if score is not None and 1 < score <= 100:
        return 100.
    if _PERCENT.search(metric):
        return 100.
    if _UNIT.search(metric) or (_AP.match(_last(metric))
                                and score is not None):
        return 1.
    return None


def scale_warning(what: str,
                  value: Optional[float],
                  metric: str,
                  score: Optional[float] = None,
                  difference: bool = False) -> Optional[str]:
    """A warning if a value seems to be in percent and the metric is not, or
    the other way round.

    Args:
        what (str): The owner and its field ('SurpassTeacher.margin').
        value (float, optional): The value.
        metric (str): Name of the metric.
        score (float, optional): A measured score. Defaults to None.
        difference (bool): Whether the value is a difference of two scores,
            which may be small. Defaults to False.

    Returns:
        str, optional: A sentence; None if the value looks right.
    """
    best = scale_of(metric, score)
    if value is None or best is None or not math.isfinite(value):
        return None
    size = abs(value)
    if best == 1. and size > (.2 if difference else 1.):
        return (f'{what} is {value:g}, but {metric} is from 0 to 1: was '
                f'{value / 100:g} meant?')
    if best == 100. and 0 < size <= (.02 if difference else 1.):
        return (f'{what} is {value:g}, but {metric} is in percent, from 0 to '
                f'100: was {value * 100:g} meant?')
    return None


def target_warnings(targets: Iterable[dict],
                    metrics: Mapping[str, Optional[float]]) -> List[str]:
    """Warnings of targets that do not fit the metrics of the evaluator.

    Args:
        targets (Iterable[dict]): Targets, each with ``metric`` and ``value``.
        metrics (Mapping[str, float]): Name -> score of a model.

    Returns:
        list[str]: Sentences, each one once.
    """
    said = []
    for target in targets:
        name = target['metric']
        if name not in metrics:
            said.append(
                f'There is a target for {name}, but the evaluator gives '
                f'{", ".join(metrics)}: it cannot be reached')
        else:
            said.append(
                scale_warning('A target', target['value'], name,
                              metrics[name]))
    return list(dict.fromkeys(line for line in said if line))
