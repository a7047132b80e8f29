# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest

from mmw2s.records.flat_curve import is_flat

RISING = [.10, .20, .30, .31, .32, .33]
FLAT = [.10, .30, .40, .402, .39, .401]


def test_a_rising_curve_is_not_flat_and_one_that_has_risen_is():
    assert not is_flat(RISING, 'greater')
    assert is_flat(FLAT, 'greater')


def test_a_falling_error_is_not_flat_and_one_that_has_fallen_is():
    assert not is_flat([1 / s for s in RISING], 'less')
    assert is_flat([1 / s for s in FLAT], 'less')
    assert is_flat(RISING, 'less')  # of an error, it is the wrong way


@pytest.mark.parametrize('patience, flat', [(1, True), (2, True), (3, True),
                                            (4, False), (5, False)])
def test_the_gain_of_the_last_validations_counts_together(patience, flat):
    assert is_flat(FLAT, 'greater', patience) == flat


@pytest.mark.parametrize('min_gain, flat', [(.09, False), (.11, True)])
def test_the_gain_is_a_share_of_the_best_before(min_gain, flat):
    assert is_flat(RISING, 'greater', min_gain=min_gain) == flat


def test_too_few_validations_tell_nothing():
    assert not is_flat([.4, .4, .4], 'greater')
    assert is_flat([.4, .4, .4, .4], 'greater')
    assert not is_flat([], 'greater')


def test_a_curve_that_has_not_begun_is_not_flat():
    assert not is_flat([0., 0., 0., 0., 0.], 'greater')
    assert not is_flat([None, None, None, None, .1], 'greater')


def test_a_validation_without_a_score_improves_nothing():
    assert is_flat([.4, None, math.nan, .4], 'greater')


def test_without_a_gain_that_is_asked_for_nothing_is_flat():
    assert not is_flat([.4] * 9, 'greater', min_gain=0)
