# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from builders import TinyModel, build
from mmengine.logging import MMLogger
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier
from tiny_two_stage import c4, cascade_rcnn, faster_rcnn
from toys import retinanet

from mmw2s.distillation.defaults import (default_distill, default_schedule,
                                         default_stop, default_temperature,
                                         same_number_of_classes)
from mmw2s.distillation.stop_rules import SurpassOnTrain, SurpassTeacher
from mmw2s.distillation.terms import build_terms
from mmw2s.registry import SCHEDULES, STOP_RULES


def of(student):
    """The default terms with a teacher like the student."""
    return build_terms(default_distill(student, student))


def test_a_dense_detector_gets_features_and_scores():
    terms = of(build(retinanet(18)))
    assert [term.key for term in terms] == ['loss_kd_fpn', 'loss_kd_cls']
    assert [type(term.loss).__name__
            for term in terms] == ['PKDLoss', 'QualityFocalKDLoss']


def test_a_softmax_head_gets_the_softmax_loss_with_a_falling_temperature():
    cfg = retinanet(18)
    cfg['bbox_head']['loss_cls'] = dict(type='CrossEntropyLoss')
    _, term = of(build(cfg))
    assert type(term.loss).__name__ == 'KDLoss'
    term.temperature.bind(100, 10)
    assert [term.temperature.value(i) for i in (0, 50, 99)] == [6., 1., 1.]


# -- detectors with a teacher --------------------------------------------


def types(entries):
    return [entry['knowledge']['type'] for entry in entries]


def test_a_two_stage_detector_gets_features_proposals_and_rois():
    student, teacher = build(faster_rcnn(50)), build(faster_rcnn(18))
    distill = default_distill(student, teacher)
    assert types(distill) == ['FPNFeatures', 'RPNOutputs', 'RoIHeadOutputs']
    features, proposals, rois = build_terms(distill)
    assert features.loss.loss_weight == 6.
    assert type(proposals.loss).__name__ == 'QualityFocalKDLoss'
    assert type(rois.loss).__name__ == 'KDLoss'
    assert rois.loss.temperature == 1. and rois.temperature is None


def test_a_teacher_of_other_classes_gives_what_does_not_tell_classes(capsys):
    MMLogger.get_instance('said')
    student, teacher = build(faster_rcnn(50)), build(faster_rcnn(18, 80))
    assert types(default_distill(student,
                                 teacher)) == ['FPNFeatures', 'RPNOutputs']
    said = capsys.readouterr().out
    assert 'goes without RoIHeadOutputs: teacher head has 80 classes' in said


def test_a_teacher_whose_dense_head_differs_gives_features(capsys):
    MMLogger.get_instance('said')
    student = build(retinanet(50))
    for teacher, why in ((retinanet(18, num_classes=80), '80 classes'),
                         (faster_rcnn(18), 'no module "bbox_head"')):
        assert types(default_distill(student,
                                     build(teacher))) == ['FPNFeatures']
        said = capsys.readouterr().out
        assert 'goes without DenseHeadOutputs: ' in said and why in said


def test_a_teacher_that_fits_is_not_written_about(capsys):
    MMLogger.get_instance('said')
    student, teacher = build(retinanet(50)), build(retinanet(18))
    default_distill(student, teacher)
    assert not capsys.readouterr().out


def test_without_a_neck_the_maps_of_the_backbone_are_taken():
    alone, neck = build(c4()), build(faster_rcnn(18))
    assert default_distill(alone, alone)[0]['knowledge'] == dict(
        type='FPNFeatures', module='backbone')
    assert default_distill(neck, alone)[0]['knowledge'] == dict(
        type='FPNFeatures', teacher_module='backbone')
    assert default_distill(alone, neck)[0]['knowledge'] == dict(
        type='FPNFeatures', module='backbone', teacher_module='neck')


def test_a_teacher_with_nothing_in_common_is_refused_with_the_reasons():
    with pytest.raises(
            ValueError,
            match='the teacher cannot be compared with the student. '
            'FPNFeatures: .*; DenseHeadOutputs: '):
        default_distill(build(retinanet(50)), TinyModel())


# -- classifiers ---------------------------------------------------------


def test_a_classifier_gets_logits_with_a_falling_temperature():
    term, = of(build_classifier(classifier()))
    assert term.key == 'loss_kd_logits'
    assert type(term.loss).__name__ == 'KDLoss'
    term.temperature.bind(100, 10)
    assert [term.temperature.value(i) for i in (0, 50, 99)] == [6., 1., 1.]


def test_a_multi_label_classifier_gets_the_loss_of_sigmoid_scores():
    cfg = classifier(type='MultiLabelLinearClsHead')
    term, = of(build_classifier(cfg))
    assert term.key == 'loss_kd_logits' and term.temperature is None
    assert type(term.loss).__name__ == 'QualityFocalKDLoss'


def test_of_another_kind_of_model_nothing_is_guessed():
    with pytest.raises(
            ValueError,
            match='no default distillation is known '
            'for a TinyModel: give the hook a "distill" field'):
        of(TinyModel())


def test_the_strength_warms_up_holds_and_has_faded_at_30_percent_of_the_run():
    schedule = SCHEDULES.build(default_schedule(build(retinanet(18))))
    schedule.bind(1000, 100)
    assert 0 < schedule.value(0) < schedule.value(9) < 1
    assert schedule.value(20) == schedule.value(149) == 1
    assert 1 > schedule.value(200) > schedule.value(299) > 0
    assert schedule.zero_from() == 300


def test_that_of_a_classifier_has_faded_at_half_of_the_run():
    student = build_classifier(classifier())
    schedule = SCHEDULES.build(default_schedule(student))
    schedule.bind(1000, 100)
    assert schedule.value(199) == 1 > schedule.value(350) > 0
    assert schedule.zero_from() == 500


def test_the_temperature_falls_from_6_to_1_while_it_distils():
    schedule = SCHEDULES.build(default_temperature())
    schedule.bind(100, 10)
    assert [schedule.value(i) for i in (0, 25, 50)] == [6., 3.5, 1.]


def test_without_validation_the_training_losses_decide():
    for has_validation, kind in ((True, SurpassTeacher), (False,
                                                          SurpassOnTrain)):
        assert isinstance(
            STOP_RULES.build(default_stop(has_validation, 100)), kind)


def test_a_teacher_that_cannot_be_scored_is_held_to_the_middle_of_the_run():
    rule = STOP_RULES.build(default_stop(True, 100, comparable=False))
    rule.bind(100, 10)
    assert rule.at(49) is None and rule.at(50) is not None


@pytest.mark.parametrize('kind', [retinanet, faster_rcnn, cascade_rcnn])
def test_models_of_other_numbers_of_classes_are_told_apart(kind):
    two, also_two, five = (build(kind(18, num_classes=n)) for n in (2, 2, 5))
    assert same_number_of_classes(two, also_two)
    assert not same_number_of_classes(two, five)
    assert same_number_of_classes(two, TinyModel())  # it does not tell
