# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.utils.text import listed, plural


@pytest.mark.parametrize('count, noun, text', [
    (1, 'class', '1 class'),
    (3, 'class', '3 classes'),
    (0, 'image', '0 images'),
    (1, 'real image', '1 real image'),
    (2, 'box', '2 boxes'),
    (2, 'batch', '2 batches'),
])
def test_a_noun_agrees_with_its_number(count, noun, text):
    assert plural(count, noun) == text


@pytest.mark.parametrize('items, text', [
    ([], ''),
    (['a', 'b'], 'a, b'),
    (['a', 'b', 'c', 'd'], 'a, b and 2 more'),
])
def test_of_a_long_list_the_first_are_named(items, text):
    assert listed(items, 2) == text
