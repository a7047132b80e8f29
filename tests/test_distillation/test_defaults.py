# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from builders import TinyModel, build
from toys import retinanet

from mmw2s.distillation.defaults import (default_distill, default_schedule,
                                         default_stop, default_temperature)
from mmw2s.distillation.stop_rules import SurpassOnTrain, SurpassTeacher
from mmw2s.distillation.terms import build_terms
from mmw2s.registry import SCHEDULES, STOP_RULES


def test_a_dense_detector_gets_features_and_scores():
    terms = build_terms(default_distill(build(retinanet(18))))
    assert [term.key for term in terms] == ['loss_kd_fpn', 'loss_kd_cls']
    assert [type(term.loss).__name__
            for term in terms] == ['PKDLoss', 'QualityFocalKDLoss']


def test_a_softmax_head_gets_the_softmax_loss_with_a_falling_temperature():
    cfg = retinanet(18)
    cfg['bbox_head']['loss_cls'] = dict(type='CrossEntropyLoss')
    _, term = build_terms(default_distill(build(cfg)))
    assert type(term.loss).__name__ == 'KDLoss'
    term.temperature.bind(100, 10)
    assert [term.temperature.value(i) for i in (0, 50, 99)] == [6., 1., 1.]


def test_of_another_kind_of_model_nothing_is_guessed():
    with pytest.raises(
            ValueError,
            match='no default distillation is known '
            'for a TinyModel: give the hook a "distill" field'):
        default_distill(TinyModel())


def test_the_strength_warms_up_holds_and_has_faded_at_30_percent_of_the_run():
    schedule = SCHEDULES.build(default_schedule())
    schedule.bind(1000, 100)
    assert 0 < schedule.value(0) < schedule.value(9) < 1
    assert schedule.value(20) == schedule.value(149) == 1
    assert 1 > schedule.value(200) > schedule.value(299) > 0
    assert schedule.zero_from() == 300


def test_the_temperature_falls_from_6_to_1_while_it_distils():
    schedule = SCHEDULES.build(default_temperature())
    schedule.bind(100, 10)
    assert [schedule.value(i) for i in (0, 15, 30)] == [6., 3.5, 1.]


def test_without_validation_the_training_losses_decide():
    assert isinstance(STOP_RULES.build(default_stop(True)), SurpassTeacher)
    assert isinstance(STOP_RULES.build(default_stop(False)), SurpassOnTrain)
