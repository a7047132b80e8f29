# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import numpy as np
import pytest

from mmw2s.analysis.run import Run
from mmw2s.analysis.statistics import Reach, median_reach, reach


@pytest.fixture
def run(write_run):
    """At 0.4 in epochs 2 and 4, and from 4 on; an epoch takes 10 + 2 s."""
    return Run.load(write_run('b0', [.3, .4, .3, .5, .4], world_size=2))


@pytest.mark.parametrize('unit, spent', [('epoch', 2), ('iter', 200),
                                         ('samples', 1600),
                                         ('train_seconds', 20),
                                         ('wall_seconds', 24),
                                         ('device_hours', 48 / 3600)])
def test_the_first_validation_at_a_target_in_each_unit(run, unit, spent):
    assert reach(run, 'coco/bbox_mAP', .4, 'greater', unit) == \
        (pytest.approx(spent), True, 'first')


def test_for_good_is_the_first_from_which_on_it_stays_there(run):
    assert reach(run, 'coco/bbox_mAP', .4, 'greater', for_good=True) == \
        (4, True, 'for good')
    # The last validation alone is below.
    assert reach(run, 'coco/bbox_mAP', .45, 'greater', for_good=True) == \
        (5, False, 'for good')


def test_a_run_that_never_reaches_it_is_censored_at_its_end(run):
    assert reach(run, 'coco/bbox_mAP', .9, 'greater') == (5, False, 'first')


def test_a_unit_that_the_record_lacks_is_refused(run):
    for row in run.history:
        row['samples'] = None
    with pytest.raises(ValueError, match='b0 .*"samples"'):
        reach(run, 'coco/bbox_mAP', .4, 'greater', 'samples')


def test_without_censoring_the_median_is_the_usual_one():
    for times in ([3, 1, 2], [4, 1, 2, 8], [5, 5, 7, 7], [2]):
        found = median_reach([Reach(t, True) for t in times])
        assert found.value == np.median(times) and found.reached
        assert (found.fastest, found.slowest) == (min(times), max(times))


def test_the_median_of_kaplan_and_meier_by_hand():
    # At risk 5, 4, 2: the curve is 4/5, 3/5, then one is censored at 3, then
    # 3/5 * 1/2 at 4. Dropping the censored run would give 2.
    times = [
        Reach(1, True),
        Reach(2, True),
        Reach(3, False),
        Reach(4, True),
        Reach(9, False)
    ]
    found = median_reach(times)
    assert (found.value, found.reached, found.count, found.of) == (4, True, 3,
                                                                   5)
    assert found.slowest == math.inf


def test_where_half_of_the_runs_never_reach_it_the_median_is_a_bound():
    found = median_reach([Reach(2, True), Reach(9, False), Reach(8, False)])
    assert (found.value, found.reached) == (9, False)
    found = median_reach([Reach(7, False)])
    assert found == (7, False, 0, 1, math.inf, math.inf)


def test_where_just_half_of_them_never_do_the_median_is_a_bound_too():
    # The other run needs more than 8, so their middle is above 5.5.
    found = median_reach([Reach(3, True), Reach(8, False)])
    assert (found.value, found.reached, found.count) == (5.5, False, 1)
    times = [Reach(5, True), Reach(9, False), Reach(3, True), Reach(7, False)]
    found = median_reach(times)
    assert (found.value, found.reached) == (6, False)
    # Both at the same time: it needs more than that.
    found = median_reach([Reach(8, True), Reach(8, False)])
    assert (found.value, found.reached) == (8, False)


def test_without_a_run_there_is_no_median():
    with pytest.raises(ValueError, match='at least one run'):
        median_reach([])
