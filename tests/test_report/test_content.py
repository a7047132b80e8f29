# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from recorded import METRIC

from mmw2s.report import gather, make_report


def test_axes_are_what_all_runs_tell(report):
    assert [axis.key for axis in report.axes] == \
        ['epochs', 'iterations', 'time', 'time+teacher']
    assert report.axes[2].unit == 'wall_seconds'
    assert report.axes[3].counted and not report.axes[2].counted


def test_without_a_teachers_training_there_is_no_axis_for_it(folders):
    report = make_report(gather(folders[:6]))
    assert [a.key for a in report.axes] == ['epochs', 'iterations', 'time']


def test_all_metrics_with_a_known_better_side_are_there(write_run):
    rows = [{METRIC: .1 * i, 'fid_50': 9. - i, 'odd': 1.} for i in (1, 2)]
    report = make_report(gather([write_run('a', rows)]))
    assert report.metrics == {METRIC: 'greater', 'fid_50': 'less'}


def test_a_metric_without_a_positive_best_has_no_targets(write_run):
    rows = [{METRIC: .1, 'coco/bbox_mAP_s': 0.}]
    report = make_report(gather([write_run('a', rows)]))
    assert report.targets['coco/bbox_mAP_s'] == []
    assert len(report.targets[METRIC]) == 3


def test_runs_without_a_metric_in_common_are_refused(write_run):
    runs = [write_run('a', [.1], metric='acc'), write_run('b', [.1])]
    with pytest.raises(
            ValueError, match='in common.*a: acc; b: coco/bbox_mAP'):
        make_report(gather(runs))


def test_targets_that_are_no_numbers_are_refused(folders):
    with pytest.raises(ValueError, match='a target should be a number'):
        make_report(gather(folders), targets=['most'])
