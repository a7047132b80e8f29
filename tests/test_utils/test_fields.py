# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import numpy as np
import pytest

from mmw2s.utils.fields import (check_choice, check_flag, check_integer,
                                check_number, check_seed, check_text)


@pytest.mark.parametrize('value', [0, 0.5, np.float32(0.25), np.int64(1)])
def test_numbers_within_the_bounds_pass(value):
    check_number('X.y', value, at_least=0, at_most=1)


@pytest.mark.parametrize(
    'value', [math.nan, math.inf, -math.inf, '0.5', True, None, [1], 1j])
def test_what_is_no_finite_number_is_refused_with_its_name(value):
    with pytest.raises(ValueError, match=r'X\.y should be a finite number, '):
        check_number('X.y', value)


@pytest.mark.parametrize('bounds, value, said',
                         [(dict(at_least=0), -1, '>= 0'),
                          (dict(above=0), 0, '> 0'),
                          (dict(at_most=1), 1.5, '<= 1'),
                          (dict(below=1), 1, '< 1'),
                          (dict(at_least=0, below=1), 1, '>= 0 and < 1')])
def test_bounds_are_said(bounds, value, said):
    with pytest.raises(ValueError, match=f'number {said}, but got {value}'):
        check_number('X.y', value, **bounds)


@pytest.mark.parametrize('value', [2.0, True, '2', 0])
def test_integers_are_whole_and_no_flags(value):
    check_integer('X.y', 2, at_least=1)
    with pytest.raises(ValueError, match='an integer >= 1'):
        check_integer('X.y', value, at_least=1)


@pytest.mark.parametrize('value', ['no', 'False', 'True', 1, 0, None])
def test_flags_are_true_or_false_alone(value):
    check_flag('X.y', True)
    with pytest.raises(ValueError, match='X.y should be True or False'):
        check_flag('X.y', value)


def test_a_choice_is_of_the_same_type():
    check_choice('X.y', 'a', ('a', 'b'))
    check_choice('X.y', None, ('a', None))
    for value in ('c', 1, True, ['a']):
        with pytest.raises(ValueError, match="one of 'a', 0, but got"):
            check_choice('X.y', value, ('a', 0))


@pytest.mark.parametrize('value', ['', ' ', None, 3, ['a'], b'a', True])
def test_texts_are_not_empty(value):
    check_text('X.y', 'a', 'a path')
    with pytest.raises(ValueError, match='X.y should be a path, but got'):
        check_text('X.y', value, 'a path')


@pytest.mark.parametrize('value', [-1, 2**32, 1., True, None])
def test_seeds_are_what_generators_take(value):
    check_seed('X.y', 2**32 - 1)
    with pytest.raises(ValueError, match='X.y should be an integer >= 0'):
        check_seed('X.y', value)


def test_a_number_too_large_for_a_float_is_not_finite():
    check_integer('X.y', 10**400)
    with pytest.raises(ValueError, match='X.y should be a finite number'):
        check_number('X.y', 10**400)
