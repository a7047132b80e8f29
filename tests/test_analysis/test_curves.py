# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import numpy as np
import pytest

from mmw2s.analysis import Run
from mmw2s.analysis.curves import Plane, switched_off_at

SLOW = [.1, .2, .3, .4, .5]
FAST = [.3, .4, .5, .5, .5]


def test_the_median_is_taken_where_all_seeds_were_validated(write_run):
    folders = [
        write_run('a', SLOW),
        write_run('b', FAST),
        write_run('c', FAST)
    ]
    record = f'{folders[2]}/time_to_target.json'
    with open(record) as file:
        content = json.load(file)
    del content['history'][1]  # one validation less
    with open(record, 'w') as file:
        json.dump(content, file)
    runs = [Run.load(folder) for folder in folders]
    curve = Plane('coco/bbox_mAP', 'wall_seconds', 60).curve(runs)
    np.testing.assert_allclose(curve.x, np.array([12, 36, 48, 60]) / 60)
    assert curve.y == [.3, .5, .5, .5]
    assert curve.low == SLOW[:1] + SLOW[2:] and curve.high[0] == .3


def test_a_curve_begins_at_what_the_teacher_cost(write_run):
    run, teacher = (
        Run.load(write_run(name, FAST)) for name in ('run', 'teacher'))
    by_time, by_epoch = (
        Plane('coco/bbox_mAP', unit) for unit in ('train_seconds', 'epoch'))
    assert by_time.curve([run], teacher).x == [60, 70, 80, 90, 100]
    assert by_epoch.curve([run], teacher).x == [1, 2, 3, 4, 5]


def test_points_between_validations_lie_on_straight_lines(write_run):
    runs = [
        Run.load(write_run('a', SLOW, stop_epoch=2)),
        Run.load(write_run('b', SLOW, stop_epoch=4)),
        Run.load(write_run('started', SLOW, stop_epoch=0))
    ]
    assert switched_off_at(runs) == [200, 400]
    curve = Plane('coco/bbox_mAP', 'epoch').curve(runs)
    assert curve.at([250]) == [pytest.approx((2.5, .25))]
