# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

from mmw2s.engine import target_check
from mmw2s.engine.hooks import TimeToTargetHook


def check(targets, metrics):
    hook = TimeToTargetHook(targets=targets, rule='greater')
    target_check.warn_of_targets(SimpleNamespace(hooks=[hook]), metrics)


def test_a_target_in_percent_is_told_of_once(said):
    check({'coco/bbox_mAP': [30]}, {'coco/bbox_mAP': .2})
    assert len(said) == 1 and 'was 0.3 meant?' in said[0]


def test_what_the_name_does_not_tell_the_teachers_score_does(said):
    check({'mine/quality': [.5]}, {'mine/quality': 40.})
    assert len(said) == 1 and 'was 50 meant?' in said[0]
    check({'mine/other': [.5]}, {'mine/quality': 40.})
    assert 'There is a target for mine/other' in said[1]
