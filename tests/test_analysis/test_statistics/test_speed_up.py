# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from mmw2s.analysis.statistics import Reach, paired_speed_up


def there(*times):
    return {seed: Reach(time, True) for seed, time in enumerate(times)}


def never(*times):
    return {seed: Reach(time, False) for seed, time in enumerate(times)}


def test_it_is_the_median_of_ratios_of_the_same_seed():
    # Ratios 3, 1 and 2. The ratio of the medians would be 1.5.
    found = paired_speed_up(there(9, 2, 6), there(3, 2, 3))
    assert found.median == (2, 2)
    assert found.ratios == {0: (3, 3), 1: (1, 1), 2: (2, 2)}
    assert found.baseline.value == 6 and found.other.value == 3
    # The order of the seeds does not matter, nor one that is alone.
    other = dict(reversed(there(3, 2, 3, 1).items()))
    assert paired_speed_up(there(9, 2, 6), other).median == (2, 2)


def test_the_interval_is_that_of_scipys_bootstrap():
    rng = np.random.default_rng(3)
    base, other = rng.lognormal(2, .3, (2, 15))
    found = paired_speed_up(there(*base), there(*other))
    known = bootstrap((base / other, ),
                      np.median,
                      method='percentile',
                      rng=np.random.default_rng(0)).confidence_interval
    assert found.interval == pytest.approx(known, rel=.03)
    assert found == paired_speed_up(there(*base), there(*other))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered, studies = 0, 300
    for _ in range(studies):
        base, other = rng.lognormal(0, .3, (2, 12))
        low, high = paired_speed_up(
            there(*(2 * base)), there(*other), level=.9,
            resamples=500).interval
        covered += low <= 2 <= high
    assert .86 < covered / studies < .97


def test_a_few_seeds_cover_it_less_often_as_the_note_says():
    rng = np.random.default_rng(1)
    covered, studies = 0, 400
    for _ in range(studies):
        found = paired_speed_up(
            there(*rng.lognormal(0, .3, 3)),
            there(*rng.lognormal(0, .3, 3)),
            resamples=200)
        covered += found.interval[0] <= 1 <= found.interval[1]
    assert found.covers_at_most == .75
    assert covered / studies == pytest.approx(.75, abs=.06)
    assert '3 seeds' in found.note and '75%' in found.note


def test_a_baseline_that_never_reached_it_bounds_the_ratio_from_below():
    found = paired_speed_up(never(6), there(4))
    assert found.ratios == {0: (1.5, math.inf)}
    assert str(found) == '>= 1.50x'


def test_an_arm_that_never_reached_it_bounds_the_ratio_from_above():
    found = paired_speed_up(there(6, 6, 6), never(5, 5, 5))
    assert str(found) == '< 1.20x (0.00 to 1.20)'
    assert not found.is_faster


def test_where_neither_reached_it_nothing_is_known():
    assert str(paired_speed_up(never(6), never(5))) == 'not known'


def test_one_censored_run_of_three_does_not_hide_the_median():
    base = {**there(6, 6), **{2: Reach(9, False)}}
    found = paired_speed_up(base, there(3, 4, 3))
    # Ratios 2, 1.5, at least 3. To drop the third would give 1.75.
    assert found.median == (2, 2)
    assert found.interval == (1.5, math.inf)
    assert found.is_faster


def test_fewer_than_three_seeds_have_no_interval():
    found = paired_speed_up(there(6, 6), there(3, 3))
    assert found.interval is None and not found.is_faster
    assert str(found) == '2.00x' and 'too few' in found.note


@pytest.mark.parametrize('base, other, message', [
    ({
        0: Reach(1, True)
    }, {
        1: Reach(1, True)
    }, 'the baseline has 0, the other 1'),
    ({}, {}, 'none'),
    (there(0), there(1), 'above 0'),
    (there(1), {
        0: Reach(1, True, 'for good')
    }, 'first and for good'),
])
def test_what_cannot_be_compared_is_refused(base, other, message):
    with pytest.raises(ValueError, match=message):
        paired_speed_up(base, other)
