# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.records.metric_names import (known_rule, main_metric,
                                        means_no_ground_truth, rule_warning,
                                        scale_of, scale_warning,
                                        target_warnings)

GREATER = [
    'coco/bbox_mAP', 'coco/AR_s@1000', 'lvis/bbox_AP', 'lvis/bbox_APr',
    'lvis/ARs@300', 'lvis_fixed_ap/AP', 'pascal_voc/AP50',
    'pascal_voc/recall@100@0.5', 'cityscapes/AP@50', 'coco_panoptic/PQ',
    'coco_panoptic/SQ_th', 'crowd_human/JI', 'mFscore', 'mIoU', 'mDice',
    'motchallenge-metric/HOTA', 'motchallenge-metric/IDF1', 'reid-metric/R1',
    'refexp/refcoco_precision@1', 'ov_coco/base_ap50', 'youtube_vis/AR@1',
    'coco/occluded_recall', 'culane/F1', 'retrieval/Recall@1',
    'retrieval/mAP@10', 'accuracy/top1', 'single-label/f1-score',
    'single-label/recall', 'multi-label/mAP', 'coco/AP .5', 'coco/AR (M)',
    'PCK', 'PCKh', 'AUC', 'ANLS/ANLS', 'val/retrieval/Recall@5'
]
LESS = [
    'crowd_human/mMR', 'motchallenge-metric/IDSW', 'motchallenge-metric/FN',
    'culane/FP_50', 'regression/l1_distance', 'NME', 'EPE', 'MPJPE', 'P-MPJPE',
    'abs_rel', 'rmse', 'silog', 'heatmap_loss', 'mape', 'val_loss'
]
COCO = ['coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP_s']


@pytest.mark.parametrize('metric', GREATER)
def test_of_these_greater_is_better(metric):
    assert known_rule(metric) == 'greater'


@pytest.mark.parametrize('metric', LESS)
def test_of_these_less_is_better(metric):
    assert known_rule(metric) == 'less'


@pytest.mark.parametrize('metric', ['FID', 'single-label/support', 'x/y', ''])
def test_of_others_it_is_not_known(metric):
    assert known_rule(metric) is None


@pytest.mark.parametrize('names, main', [
    (['accuracy/top5', 'accuracy/top1'], 'accuracy/top1'),
    (['coco/person_precision', 'coco/bbox_mAP'], 'coco/bbox_mAP'),
    (['coco/segm_mAP', 'coco/bbox_mAP'], 'coco/bbox_mAP'),
    (['pascal_voc/AP50', 'pascal_voc/mAP'], 'pascal_voc/mAP'),
    (['aAcc', 'mIoU', 'mAcc'], 'mIoU'),
    (['single-label/precision', 'single-label/f1-score'
      ], 'single-label/f1-score'),
    (['val/coco/bbox_mAP', 'heldout/coco/bbox_mAP'], 'val/coco/bbox_mAP'),
    (['speed', 'my_iou', 'val_loss'], 'val_loss'),
    (['FID'], 'FID'),
    (['speed', 'beauty'], None),
    ([], None),
])
def test_the_main_metric_is_what_an_evaluator_is_known_for(names, main):
    assert main_metric(names) == main


def test_minus_one_is_no_score_of_cocos_but_may_be_one_of_others():
    assert means_no_ground_truth('coco/bbox_mAP_s', -1.)
    assert means_no_ground_truth('lvis/bbox_AP', -1)
    assert not means_no_ground_truth('coco/bbox_mAP', 0.)
    assert not means_no_ground_truth('r2_score', -1.)


def test_a_rule_against_the_name_is_told():
    assert rule_warning('coco/bbox_mAP', 'less') == (
        "rule='less' says that of coco/bbox_mAP smaller values are better, "
        "but they are worse. Leave the rule out, or give 'greater'")
    assert "greater values are better, but" in rule_warning(
        'val_loss', 'greater')
    assert rule_warning('coco/bbox_mAP', 'greater') is None
    assert rule_warning('FID', 'less') is None


@pytest.mark.parametrize('metric, score, best', [
    ('my/AP', None, None),
    ('my/AP', .4, 1.),
    ('my/AP', 1., 1.),
    ('my_score', .5, None),
    ('my_score', 1.5, 100.),
    ('my_score', 100., 100.),
    ('my_score', 101., None),
    ('val_loss', 50., None),
    ('accuracy/top1', .5, 100.),
])
def test_the_best_value_that_there_can_be(metric, score, best):
    assert scale_of(metric, score) == best


@pytest.mark.parametrize('value, metric, score, difference, meant', [
    (43.3, 'coco/bbox_mAP', None, False, '0.433'),
    (43.3, 'my/AP', .4, False, '0.433'),
    (.5, 'coco/bbox_mAP', None, True, '0.005'),
    (.7, 'accuracy/top1', None, False, '70'),
    (.7, 'my_score', 65., False, '70'),
    (.01, 'accuracy/top1', None, True, '1'),
])
def test_a_value_on_the_other_scale_is_told(value, metric, score, difference,
                                            meant):
    assert f'was {meant} meant?' in scale_warning('x', value, metric, score,
                                                  difference)


@pytest.mark.parametrize('value, metric, difference', [
    (.433, 'coco/bbox_mAP', False),
    (1., 'coco/bbox_mAP', False),
    (.01, 'coco/bbox_mAP', True),
    (70., 'accuracy/top1', False),
    (.5, 'accuracy/top1', True),
    (0., 'accuracy/top1', True),
    (70., 'val_loss', False),
    (.7, 'unknown', False),
    (None, 'coco/bbox_mAP', False),
])
def test_a_value_on_the_metrics_own_scale_is_not_told_of(
        value, metric, difference):
    assert scale_warning('x', value, metric, None, difference) is None


def test_targets_that_cannot_be_reached_are_told_once_each():
    targets = [
        dict(metric=metric, value=value)
        for metric, value in (('coco/bbox_mAP', .3), ('coco/bbox_mAP', 30.),
                              ('coco/mAP', .3), ('coco/mAP', .4))
    ]
    said = target_warnings(targets, dict.fromkeys(COCO, .2))
    assert len(said) == 2
    assert 'A target is 30, but coco/bbox_mAP is from 0 to 1' in said[0]
    assert 'coco/mAP, but the evaluator gives coco/bbox_mAP' in said[1]
