# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest

from mmw2s.analysis.run import Run
from mmw2s.analysis.side import Side


@pytest.fixture
def side(write_run):
    """Of 100 iterations an epoch: at 0.4 after 2 and 3 epochs, and never."""
    scores = [[.3, .4, .3, .5], [.1, .2, .4, .4], [.1, .1, .1, .2]]
    runs = [
        Run.load(write_run(f'b{i}', each)) for i, each in enumerate(scores)
    ]
    return Side('baseline', runs, 'coco/bbox_mAP', 'greater')


def test_each_run_tells_when_it_first_reached_a_value(side):
    rows = side.reached(.4)
    assert [row and row['iter'] for row in rows] == [200, 300, None]


def test_for_good_the_next_validation_must_reach_it_too(side):
    rows = side.reached(.4, for_good=True)
    assert [row and row['iter'] for row in rows] == [None, 300, None]


def test_what_was_never_reached_costs_without_end(side):
    assert side.costs(.4, 'epoch') == [2, 3, math.inf]


def test_the_median_of_costs_is_known_or_a_lower_bound(side):
    assert side.median_cost(.4, 'iter') == (300, False)
    assert side.median_cost(.5, 'iter') == (400, True)


def test_the_best_is_the_median_over_runs(side):
    assert side.median_best() == .4
