# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmengine.logging import MMLogger
from tiny_segmentors import batch, build, teacher_of

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.recipes import (SegmentationRecipe, default_distill,
                                        default_stop, find_recipe,
                                        same_number_of_classes,
                                        why_incomparable)
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms


def losses_of(student, teacher):
    """What ``teacher=`` alone adds to the losses of a batch."""
    entries = default_distill(student, teacher.model)
    distiller = Distiller(student.train(), teacher, build_terms(entries),
                          Constant(1.))
    distiller.inspects = True
    distiller.bind(10, 5)
    distiller.attach()
    for iteration in range(2):
        distiller.step(iteration)
        losses = student(*batch(), mode='loss')
    distiller.remove()
    return {k: v for k, v in losses.items() if k.startswith('loss_kd_')}


def test_a_segmentor_gets_the_scores_of_its_pixels(capsys):
    MMLogger.get_instance('said')
    student = build()
    assert isinstance(find_recipe(student), SegmentationRecipe)
    term, = build_terms(default_distill(student, student))
    assert term.key == 'loss_kd_seg'
    assert type(term.loss).__name__ == 'CWDLoss'
    assert (term.loss.temperature, term.loss.loss_weight) == (4., 3.)
    assert term.temperature is None and not capsys.readouterr().out


def test_of_a_cascade_the_last_head_is_taken():
    one, two = build(), build(cascade=True)
    for student, teacher, names in (
        (two, two, dict(module='decode_head.1.conv_seg')),
        (one, two, dict(teacher_module='decode_head.1.conv_seg')),
        (two, one,
         dict(
             module='decode_head.1.conv_seg',
             teacher_module='decode_head.conv_seg')),
    ):
        entry, = default_distill(student, teacher)
        assert entry['knowledge'] == dict(type='PixelScores', **names)


@pytest.mark.parametrize('student, teacher, why', [
    (dict(), dict(maps=5), 'teacher head has 5 score maps'),
    (dict(maps=1), dict(maps=2), 'teacher head has 2 score maps'),
    (dict(), dict(head='IterativeDecodeHead'), 'does not use its conv_seg'),
    (dict(head='MaskHead'), dict(head='MaskHead'),
     'has no module "decode_head.conv_seg"'),
])
def test_where_scores_cannot_be_compared_it_gets_features(
        tmp_path, capsys, student, teacher, why):
    MMLogger.get_instance('said')
    student = build(width=8, **student)
    teacher = teacher_of(tmp_path / 't.pth', **teacher)
    entry, = default_distill(student, teacher.model)
    assert entry['knowledge'] == dict(type='FPNFeatures', module='backbone')
    assert entry['loss'] == dict(type='PKDLoss', loss_weight=0.1)
    out = capsys.readouterr().out
    assert 'goes without PixelScores: ' in out and why in out


def test_of_classes_of_other_names_the_scores_are_left_out(capsys):
    MMLogger.get_instance('said')
    entry, = default_distill(build(), build(), 'they differ at 0')
    assert entry['knowledge']['type'] == 'FPNFeatures'
    assert 'goes without PixelScores: they differ at 0.' in \
        capsys.readouterr().out


def test_features_are_those_of_the_neck_where_there_is_one():
    entry, = default_distill(build(neck=True), build(maps=5))
    assert entry['knowledge'] == dict(
        type='FPNFeatures', teacher_module='backbone')


def test_of_a_backbone_with_other_maps_in_training_no_features_are_taken():
    student, teacher = build(backbone='DDRNet'), build()
    entry, = default_distill(student, teacher)
    assert entry['knowledge']['type'] == 'PixelScores'
    for models in ((student, build(maps=5)), (build(maps=5), student)):
        with pytest.raises(
                ValueError,
                match='cannot be compared with the student. PixelScores: '
                'teacher head has . score maps, [^;]*$'):
            default_distill(*models)


@pytest.mark.parametrize('student, teacher, key', [
    (dict(), dict(), 'loss_kd_seg'),
    (dict(cascade=True), dict(), 'loss_kd_seg'),
    (dict(cascade=True), dict(cascade=True), 'loss_kd_seg'),
    (dict(maps=1), dict(maps=1), 'loss_kd_seg'),
    (dict(backbone='DDRNet'), dict(backbone='DDRNet'), 'loss_kd_seg'),
    (dict(), dict(maps=5), 'loss_kd_fpn'),
    (dict(head='MaskHead'), dict(head='MaskHead'), 'loss_kd_fpn'),
])
def test_a_teacher_alone_is_enough(tmp_path, monkeypatch, student, teacher,
                                   key):
    if student.get('maps') == 1:
        monkeypatch.setattr(
            'tiny_segmentors.TinySegmentor._loss',
            lambda self, inputs, samples: self._scores(inputs).square().mean())
    student = build(width=8, **student)
    losses = losses_of(student, teacher_of(tmp_path / 't.pth', **teacher))
    assert list(losses) == [key] and 0 < losses[key] < float('inf')
    losses[key].backward()
    assert student.backbone.layer.weight.grad.abs().sum() > 0


def test_the_teacher_looks_at_the_whole_image_where_it_predicts_by_windows(
        tmp_path):
    student = build(width=8)
    teacher = teacher_of(tmp_path / 't.pth', window=16)
    losses_of(student, teacher)
    inputs, _ = batch()
    assert len(teacher.model.images_seen) == 2  # one a step
    assert all(torch.equal(x, inputs) for x in teacher.model.images_seen)


def test_it_is_scored_where_it_has_as_many_classes():
    student = build(maps=3)
    assert why_incomparable(student, build(maps=3)) is None
    assert not same_number_of_classes(student, build(maps=5))
    assert not same_number_of_classes(student, build(maps=5, cascade=True))
    assert 'other classes' in why_incomparable(student, build(maps=5))
    assert default_stop(True, 100, True, student)['type'] == 'SurpassTeacher'
