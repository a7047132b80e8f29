# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from mmw2s.analysis.statistics import non_inferiority


def by_seed(*scores):
    return dict(enumerate(scores))


def test_the_bound_of_pairs_is_that_of_the_paired_t_test():
    base, other = by_seed(.50, .52, .54), by_seed(.49, .53, .53)
    found = non_inferiority(base, other, .03)
    known = ttest_rel([.49, .53, .53], [.50, .52, .54], alternative='greater')
    assert found.bound == pytest.approx(known.confidence_interval(.95).low)
    assert found.paired and found.difference == pytest.approx(-.01 / 3)
    assert found.verdict == 'holds'
    assert non_inferiority(base, other, .02).verdict == 'does not hold'


def test_other_seeds_are_compared_by_welchs_test():
    base = {0: .50, 1: .52, 2: .57}
    other = {3: .49, 4: .53, 5: .53, 6: .50}
    found = non_inferiority(base, other, .02, level=.9)
    known = ttest_ind(
        list(other.values()),
        list(base.values()),
        equal_var=False,
        alternative='greater')
    assert not found.paired and found.seeds == 3
    assert found.bound == pytest.approx(known.confidence_interval(.9).low)


def test_pairs_are_of_the_same_seed_in_any_order():
    base = {0: .1, 1: .5, 2: .9}
    other = {2: .9, 0: .1, 1: .51}
    assert non_inferiority(base, other, .05).verdict == 'holds'


def test_smaller_scores_may_be_better():
    base, worse = by_seed(.10, .11, .12), by_seed(.20, .21, .22)
    assert non_inferiority(base, worse, .01).verdict == 'holds'
    found = non_inferiority(base, worse, .01, larger_is_better=False)
    assert found.verdict == 'does not hold'
    assert found.difference == pytest.approx(-.1)


def test_two_seeds_are_too_few():
    found = non_inferiority(by_seed(.5, .5), by_seed(.9, .9), .01)
    assert found.verdict == 'too few seeds' and found.bound is None


@pytest.mark.parametrize('side', [0, 1])
def test_a_run_that_ended_without_a_score_is_not_dropped(side):
    sides = [by_seed(.5, .5, .5, .5), by_seed(.9, .9, .9, .9)]
    sides[side][3] = None
    found = non_inferiority(*sides, .01)
    assert found.verdict == str(found) == \
        'not known: a run ended without a score'
    assert found.difference is None and found.bound is None


@pytest.mark.parametrize('change, verdict', [(0, 'holds'),
                                             (-.125, 'does not hold')])
def test_scores_without_spread_are_compared_as_they_are(change, verdict):
    base = by_seed(.5, .5, .5)
    other = {seed: score + change for seed, score in base.items()}
    assert non_inferiority(base, other, .1).verdict == verdict
    alone = {seed + 3: score for seed, score in other.items()}
    assert non_inferiority(base, alone, .1).verdict == verdict


def test_a_loss_as_large_as_the_margin_passes_as_seldom_as_the_level_says():
    rng = np.random.default_rng(0)
    passed, studies = 0, 500
    for _ in range(studies):
        base, noise = rng.normal(.5, .02, 5), rng.normal(0, .01, 5)
        passed += non_inferiority(
            by_seed(*base), by_seed(*(base - .03 + noise)),
            .03).verdict == 'holds'
    assert .02 < passed / studies < .09


def test_a_side_without_scores_and_a_negative_margin_are_refused():
    with pytest.raises(ValueError, match='but got 0 and 1'):
        non_inferiority({}, by_seed(.5), .1)
    with pytest.raises(ValueError, match='margin'):
        non_inferiority(by_seed(.5), by_seed(.5), -1)


def test_one_seed_is_compared_with_the_same_seed():
    base = {0: .394, 1: .369, 2: .374}
    found = non_inferiority(base, {0: .385}, .01)
    assert found.verdict == 'too few seeds' and found.paired
    assert found.difference == pytest.approx(-.009)
    more = {**base, 3: .9, 4: None}
    assert non_inferiority(more, base, .01).verdict == 'holds'
