# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
from builders import TinyModel, batch, build, losses_of, teacher_of
from mmdet.models import BaseDetector
from mmengine.logging import MMLogger
from mmpretrain.models import ConformerHead
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier
from tiny_heads import SOFTMAX
from tiny_two_stage import c4, cascade_rcnn, faster_rcnn
from torch import nn
from toys import retinanet

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.knowledge import HiddenFeatures
from mmw2s.distillation.recipes import (Recipe, default_distill,
                                        default_schedule, default_stop,
                                        default_temperature, find_recipe,
                                        same_number_of_classes,
                                        why_incomparable)
from mmw2s.distillation.stop_rules import SurpassOnTrain, SurpassTeacher
from mmw2s.distillation.terms import build_terms
from mmw2s.registry import RECIPES, SCHEDULES, STOP_RULES
from mmw2s.utils.kinds import is_kind


def of(student, full=False):
    """The default terms with a teacher like the student."""
    return build_terms(default_distill(student, student, full=full))


@pytest.mark.parametrize('cfg, weight', [
    (retinanet(18), 10.),
    (faster_rcnn(18), 6.),
    (SOFTMAX, 10.),
])
def test_a_detector_gets_its_features(cfg, weight):
    term, = of(build(cfg))
    assert term.key == 'loss_kd_fpn'
    assert type(term.loss).__name__ == 'PKDLoss'
    assert term.loss.loss_weight == weight


def test_where_features_cannot_be_compared_it_gets_the_scores(capsys):
    MMLogger.get_instance('said')
    student, teacher = build(retinanet(50)), build(retinanet(18))
    del teacher.neck, teacher.backbone
    assert types(default_distill(student, teacher)) == ['DenseHeadOutputs']
    assert 'goes without FPNFeatures: ' in capsys.readouterr().out


def test_a_dense_detector_in_full_gets_scores_too():
    terms = of(build(retinanet(18)), full=True)
    assert [term.key for term in terms] == ['loss_kd_fpn', 'loss_kd_cls']
    assert [type(term.loss).__name__
            for term in terms] == ['PKDLoss', 'QualityFocalKDLoss']


def test_a_softmax_head_gets_the_softmax_loss_at_a_share_of_the_tasks():
    _, term = of(build(SOFTMAX), full=True)
    assert type(term.loss).__name__ == 'KDLoss'
    assert term.loss.temperature == 1. and term.temperature is None
    assert term.auto_weight is not None


def test_its_first_loss_does_not_drown_the_task(tmp_path):
    student, teacher = build(SOFTMAX), teacher_of(SOFTMAX, tmp_path / 't.pth')
    # Nearly everywhere a trained one is sure of the background.
    teacher.model.bbox_head.retina_cls.bias.view(-1, 3)[:, 2] = 8.
    distiller = Distiller(student.train(), teacher,
                          build_terms(
                              default_distill(
                                  student, teacher.model, full=True)),
                          SCHEDULES.build(dict(type='Constant', value=1.)))
    distiller.attach()
    distiller.step(0)
    task, losses = losses_of(student, *batch())
    assert 0 < losses['loss_kd_cls'] < student.parse_losses(task)[0]


# -- detectors with a teacher --------------------------------------------


def types(entries):
    return [entry['knowledge']['type'] for entry in entries]


def test_a_two_stage_detector_in_full_gets_features_proposals_and_rois():
    student, teacher = build(faster_rcnn(50)), build(faster_rcnn(18))
    distill = default_distill(student, teacher, full=True)
    assert types(distill) == ['FPNFeatures', 'RPNOutputs', 'RoIHeadOutputs']
    features, proposals, rois = build_terms(distill)
    assert features.loss.loss_weight == 6.
    assert type(proposals.loss).__name__ == 'QualityFocalKDLoss'
    assert type(rois.loss).__name__ == 'KDLoss'
    assert rois.loss.temperature == 1. and rois.temperature is None


def test_a_teacher_of_other_classes_gives_what_does_not_tell_classes(capsys):
    MMLogger.get_instance('said')
    student, teacher = build(faster_rcnn(50)), build(faster_rcnn(18, 80))
    assert types(default_distill(
        student, teacher, full=True)) == ['FPNFeatures', 'RPNOutputs']
    said = capsys.readouterr().out
    assert 'goes without RoIHeadOutputs: teacher head has 80 classes' in said


def test_in_full_a_teacher_whose_dense_head_differs_gives_features(capsys):
    MMLogger.get_instance('said')
    student = build(retinanet(50))
    for teacher, why in ((retinanet(18, num_classes=80), '80 classes'),
                         (faster_rcnn(18), 'no module "bbox_head"')):
        assert types(default_distill(
            student, build(teacher), full=True)) == ['FPNFeatures']
        said = capsys.readouterr().out
        assert 'goes without DenseHeadOutputs: ' in said and why in said


@pytest.mark.parametrize('kind, left', [
    (retinanet, ['FPNFeatures']),
    (faster_rcnn, ['FPNFeatures', 'RPNOutputs']),
])
def test_of_classes_of_other_names_only_what_tells_none_is_taken(
        kind, left, capsys):
    MMLogger.get_instance('said')
    student, teacher = build(kind(50)), build(kind(18))
    assert types(
        default_distill(student, teacher, 'they differ at 0',
                        full=True)) == left
    assert 'Outputs: they differ at 0.' in capsys.readouterr().out


def test_a_region_proposal_network_alone_is_compared_as_one():
    cfg = faster_rcnn(18)
    whole = build(cfg)
    del cfg['roi_head']
    alone = build(dict(cfg, type='RPN'))
    assert default_distill(alone, alone, full=True)[1]['knowledge'] == dict(
        type='RPNOutputs', module='bbox_head')
    assert default_distill(alone, whole, full=True)[1]['knowledge'] == dict(
        type='RPNOutputs', module='bbox_head', teacher_module='rpn_head')
    assert default_distill(whole, alone, full=True)[1]['knowledge'] == dict(
        type='RPNOutputs', teacher_module='bbox_head')


def test_a_head_that_cannot_be_read_gives_features(capsys):
    MMLogger.get_instance('said')
    student = build(retinanet(18))
    student.bbox_head = nn.Identity()
    assert types(default_distill(student, student,
                                 full=True)) == ['FPNFeatures']
    assert "student's bbox_head is a Identity" in capsys.readouterr().out
    del student.neck
    entry, = default_distill(student, student)
    assert entry['knowledge'] == dict(type='FPNFeatures', module='backbone')


def test_a_head_that_lacks_what_is_asked_for_gives_features(capsys):
    MMLogger.get_instance('said')
    student = build(retinanet(18))
    del student.bbox_head.num_classes
    assert types(default_distill(student, student,
                                 full=True)) == ['FPNFeatures']
    assert "goes without DenseHeadOutputs: AttributeError: 'RetinaHead'" in \
        capsys.readouterr().out


class Segmentor(BaseDetector):
    """A detector without any of the heads that are known."""

    def __init__(self, neck: bool):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 1)
        if neck:
            self.neck = nn.Conv2d(4, 4, 1)
        self.panoptic_head = nn.Conv2d(4, 2, 1)

    loss = predict = _forward = extract_feat = None


def test_a_detector_of_unknown_heads_gives_features():
    # As SOLO (with a neck) and Mask2Former (without).
    for neck, names in ((True, {}), (False, dict(module='backbone'))):
        entry, = default_distill(Segmentor(neck), Segmentor(neck))
        assert entry['knowledge'] == dict(type='FPNFeatures', **names)
        assert entry['loss']['type'] == 'PKDLoss'


def test_a_head_of_corners_gives_the_features_of_the_backbone(capsys):
    MMLogger.get_instance('said')
    model = build(
        dict(
            type='CornerNet',
            neck=None,
            backbone=dict(
                type='HourglassNet',
                downsample_times=1,
                num_stacks=2,
                stage_channels=[8, 8],
                stage_blocks=[1, 1],
                feat_channel=8,
                norm_cfg=dict(type='BN')),
            bbox_head=dict(
                type='CornerHead',
                num_classes=2,
                in_channels=8,
                corner_emb_channels=1)))
    entry, = default_distill(model, model)
    assert entry['knowledge'] == dict(type='FPNFeatures', module='backbone')


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


class TimmClassifier(nn.Module):
    """Stands for mmpretrain's, which needs timm."""

    def __init__(self):
        super().__init__()
        self.model = nn.Linear(3, 3)


def test_logits_are_taken_where_each_of_the_two_models_has_them():
    timm, image = TimmClassifier(), build_classifier(classifier())
    for student, teacher, names in (
        (timm, timm, dict(module='model')),
        (timm, image, dict(module='model', teacher_module='head')),
        (image, timm, dict(teacher_module='model')),
    ):
        entry, = default_distill(student, teacher)
        assert entry['knowledge'] == dict(type='ClassLogits', **names)


def test_of_a_classifier_with_two_branches_one_is_taken():
    two, one = (build_classifier(classifier()) for _ in range(2))
    two.head = ConformerHead(3, [32, 32])
    entry, = default_distill(two, one)
    assert entry['knowledge'] == dict(
        type='ClassLogits', module='head.conv_cls_head', teacher_module='head')
    entry, = default_distill(one, two)
    assert entry['knowledge'] == dict(
        type='ClassLogits', teacher_module='head.conv_cls_head')


class ImageToImageRetriever(TinyModel):
    """Stands for mmpretrain's, which predicts without its head."""

    def __init__(self):
        super().__init__()
        self.image_encoder = nn.Conv2d(3, 4, 1)
        self.head = build_classifier(classifier()).head


def test_a_head_of_classes_alone_makes_no_classifier():
    with pytest.raises(
            ValueError,
            match='for a ImageToImageRetriever with a LinearClsHead: .*'
            'module="image_encoder"'):
        of(ImageToImageRetriever())


def test_a_classifier_whose_head_is_unusual_is_told_of_both_ways():
    cfg = classifier()
    cfg['head'] = dict(
        type='MultiTaskHead',
        in_channels=32,
        task_heads=dict(a=dict(type='LinearClsHead', num_classes=3)))
    with pytest.raises(
            ValueError,
            match='for a ImageClassifier with a MultiTaskHead: .* of a '
            'classifier .*"ClassLogits"'):
        of(build_classifier(cfg))


def test_of_another_kind_of_model_nothing_is_guessed():
    with pytest.raises(
            ValueError,
            match='no default distillation is known for a TinyModel '
            'with a Sequential: give the hook a "distill" field.*'
            'module="<one of data_preprocessor, body, head>"'):
        of(TinyModel())


@pytest.mark.parametrize('parts, proposed', [
    (dict(student=dict(backbone=0, neck=0)), 'student.neck'),
    (dict(detector=dict(backbone=0)), 'detector.backbone'),
    (dict(backbone=0, decoder=dict(neck=0)), 'decoder.neck'),
])
def test_what_it_proposes_is_a_module_of_the_model(parts, proposed):

    def made(parts):
        module = nn.Module()
        for name, inner in parts.items():
            module.add_module(name,
                              made(inner) if inner else nn.Conv2d(3, 4, 1))
        return module

    with pytest.raises(ValueError, match=f'module="{proposed}"'):
        of(made(parts))


def test_the_strength_warms_up_holds_and_has_faded_at_30_percent_of_the_run():
    schedule = SCHEDULES.build(default_schedule(build(retinanet(18))))
    schedule.bind(1000, 100)
    assert 0 < schedule.value(0) < schedule.value(9) < 1
    assert schedule.value(20) == schedule.value(149) == 1
    assert 1 > schedule.value(200) > schedule.value(299) > 0
    assert schedule.zero_from() == 300


def test_that_of_a_classifier_has_faded_at_half_of_the_run():
    student = build_classifier(classifier())
    terms = build_terms(default_distill(student, student))
    for cfg in (default_schedule(student),
                default_schedule(TinyModel(), terms)):
        schedule = SCHEDULES.build(cfg)
        schedule.bind(1000, 100)
        assert schedule.value(199) == 1 > schedule.value(350) > 0
        assert schedule.zero_from() == 500


def test_the_temperature_falls_from_6_to_1_while_it_distills():
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


def test_a_teacher_that_needs_proposals_cannot_be_scored_without_them():
    faster, fast = build(faster_rcnn()), build(faster_rcnn())
    del fast.rpn_head
    assert 'has no rpn_head' in why_incomparable(faster, fast)
    for student, teacher in ((fast, fast), (fast, faster), (faster, faster)):
        assert why_incomparable(student, teacher) is None


def test_a_teacher_of_other_classes_cannot_be_scored():
    two, five = (build(retinanet(18, num_classes=n)) for n in (2, 5))
    assert 'other classes' in why_incomparable(two, five)
    assert 'other classes' in why_incomparable(two, two, same_names=False)


def test_the_classes_of_other_heads_count_too():
    two, five = Segmentor(True), Segmentor(True)
    two.panoptic_head.num_classes, five.panoptic_head.num_classes = 2, 5
    assert same_number_of_classes(two, two)
    assert not same_number_of_classes(two, five)


@pytest.mark.parametrize('kind', [retinanet, faster_rcnn, cascade_rcnn])
def test_models_of_other_numbers_of_classes_are_told_apart(kind):
    two, also_two, five = (build(kind(18, num_classes=n)) for n in (2, 2, 5))
    assert same_number_of_classes(two, also_two)
    assert not same_number_of_classes(two, five)
    assert same_number_of_classes(two, TinyModel())  # it does not tell


# -- a recipe of the user's own ------------------------------------------


class Denoiser(TinyModel):
    """Of no kind that is known."""


@pytest.fixture
def own_recipe():

    class DenoiserRecipe(Recipe):
        knowledge = (HiddenFeatures, )
        warmup, hold, decay = 0., 0.5, 0.1

        def matches(self, student):
            return is_kind(student, 'Denoiser', 'ImageClassifier')

        def distill(self, student, teacher, other_classes=None):
            return [dict(knowledge=dict(type='FPNFeatures', module='body'))]

        def stop(self, has_validation, max_iters, comparable):
            return dict(type='At', iter=7)

    RECIPES.register_module(module=DenoiserRecipe)
    yield DenoiserRecipe
    RECIPES.module_dict.pop('DenoiserRecipe')


def test_a_registered_recipe_answers_for_its_models(own_recipe):
    model = Denoiser()
    assert default_distill(model, model) == [
        dict(knowledge=dict(type='FPNFeatures', module='body'))
    ]
    schedule = SCHEDULES.build(default_schedule(model))
    schedule.bind(1000, 100)
    assert schedule.value(0) == schedule.value(499) == 1
    assert schedule.zero_from() == 600
    assert default_stop(True, 100, student=model) == dict(type='At', iter=7)


def test_a_registered_recipe_leaves_other_models_alone(own_recipe):
    student = build(retinanet(18))
    assert len(default_distill(student, student, full=True)) == 2
    assert default_schedule(student)['hold'] == 0.13
    assert default_stop(True, 9, student=student)['type'] == 'SurpassTeacher'
    with pytest.raises(ValueError, match='no default distillation is known'):
        default_distill(TinyModel(), TinyModel())


def test_a_registered_recipe_is_asked_before_the_packages_own(own_recipe):
    assert isinstance(find_recipe(build_classifier(classifier())), own_recipe)


def test_a_model_is_also_known_by_what_is_distilled(own_recipe):
    terms = [SimpleNamespace(knowledge=HiddenFeatures())]
    assert isinstance(find_recipe(TinyModel(), terms), own_recipe)
    assert find_recipe(TinyModel()) is None
