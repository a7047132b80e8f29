# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.analysis import first_at_target, infer_rule
from mmw2s.records.targets import first_for_good, first_to_stay


def rows(*scores) -> list:
    return [
        dict(iter=i, metrics={} if score is None else dict(m=score))
        for i, score in enumerate(scores, 1)
    ]


@pytest.mark.parametrize('metric, rule',
                         [('coco/bbox_mAP', 'greater'),
                          ('heldout/coco/bbox_mAP_50', 'greater'),
                          ('accuracy/top1', 'greater'), ('val_loss', 'less'),
                          ('diffusion/fid_10k_ddim50', 'less'),
                          ('kid_500_ddim20', 'less'),
                          ('diffusion/denoising_mse', 'less')])
def test_the_rule_follows_from_the_name(metric, rule):
    assert infer_rule(metric) == rule


def test_a_given_rule_wins_over_the_name():
    assert infer_rule('coco/bbox_mAP', 'less') == 'less'


def test_a_rule_that_cannot_be_inferred_is_asked_for():
    with pytest.raises(ValueError, match='"FID" are better: give rule='):
        infer_rule('FID')


def test_the_first_row_counts_not_the_best():
    found = first_at_target(rows(.1, .3, .2, .5), 'm', .25, 'greater')
    assert found == dict(iter=2, score=.3)


def test_being_equal_is_reaching():
    assert first_at_target(rows(.1, .3), 'm', .3, 'greater')['iter'] == 2
    assert first_at_target(rows(90, 60), 'm', 60, 'less')['iter'] == 2


def test_missing_and_invalid_scores_are_not_reaching():
    history = rows(None, float('nan'), .4)
    assert first_at_target(history, 'm', .3, 'greater')['iter'] == 3
    assert first_at_target(history, 'm', .5, 'greater') is None
    assert first_at_target(rows(float('nan')), 'm', 9, 'less') is None
    assert first_at_target([], 'm', 9, 'less') is None


@pytest.mark.parametrize(
    'scores, iteration',
    [
        ((.205, .154, .21, .22), 3),
        ((.1, .2, .3), 2),
        ((.1, .205, .154), None),
        ((.1, .15, .25), None),  # the last one: nobody knows what would follow
        ((.2, None, .2, .2), 3),
        ((), None),
    ])
def test_a_target_is_reached_for_good_if_the_next_validation_reaches_it_too(
        scores, iteration):
    found = first_for_good(rows(*scores), 'm', .2, 'greater')
    assert (found and found['iter']) == iteration
    if found:
        assert found['score'] == scores[iteration - 1]
        assert 'metrics' not in found


@pytest.mark.parametrize('scores, iteration', [
    ((.205, .154, .21, .22), 3),
    ((.3, .2, .2), 1),
    ((.1, .2, .3, .1), None),
    ((.1, .15, .25), 3),
    ((.2, None, .2, .2), 3),
    ((), None),
])
def test_it_stays_at_a_target_from_where_all_others_reach_it_too(
        scores, iteration):
    found = first_to_stay(rows(*scores), 'm', .2, 'greater')
    assert (found and found['iter']) == iteration
