# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
from builders import build, pairs_of, teacher_of
from mmdet.models import ATSSHead, AutoAssignHead, YOLOXHead
from tiny_heads import ATSS, FCOS, GFL, RETINA, SOFTMAX
from torch import nn

from mmw2s.distillation.knowledge import DenseHeadOutputs


def changed(cfg, **head):
    cfg = copy.deepcopy(cfg)
    cfg['bbox_head'].update(head)
    return cfg


def refusal(student, teacher, **fields):
    knowledge = DenseHeadOutputs(**fields)
    with pytest.raises(ValueError) as error:
        knowledge.check(build(student), build(teacher))
    return str(error.value)


def test_other_classes_are_refused_with_both_numbers():
    text = refusal(RETINA, changed(RETINA, num_classes=80))
    assert "teacher head has 80 classes, the student's 2" in text
    assert 'FPNFeatures' in text


def test_other_strides_are_refused_with_both():
    generator = RETINA['bbox_head']['anchor_generator']
    text = refusal(
        RETINA,
        changed(
            RETINA, anchor_generator=dict(generator, strides=[16, 32, 64])))
    assert '[(16, 16), (32, 32), (64, 64)] strides' in text
    assert '[(8, 8), (16, 16), (32, 32)]' in text


def test_another_number_of_levels_is_refused():
    generator = RETINA['bbox_head']['anchor_generator']
    text = refusal(
        RETINA,
        changed(RETINA, anchor_generator=dict(generator, strides=[8, 16])))
    assert "[(8, 8), (16, 16)] strides, the student's [(8, 8)" in text


@pytest.mark.parametrize('fields', [
    dict(ratios=[0.5, 1.0]),
    dict(octave_base_scale=5),
    dict(scales_per_octave=2)
])
def test_other_anchors_are_refused(fields):
    generator = RETINA['bbox_head']['anchor_generator']
    text = refusal(RETINA,
                   changed(RETINA, anchor_generator=dict(generator, **fields)))
    assert 'anchor' in text and 'the same anchor generator' in text


def test_of_other_anchors_only_what_differs_first_is_told():
    generator = RETINA['bbox_head']['anchor_generator']
    text = refusal(
        RETINA,
        changed(RETINA, anchor_generator=dict(generator, ratios=[1.0])))
    assert "has 1 anchors a location, the student's 3:" in text
    text = refusal(
        RETINA,
        changed(RETINA, anchor_generator=dict(generator, octave_base_scale=5)))
    assert "has (-28.284, -14.142, 28.284, 14.142) as anchor 0 of level 0, " \
        "the student's (-22.627, " in text
    assert "has a point as anchor 0 of level 0, the student's (" in refusal(
        ATSS, FCOS)


def test_another_box_code_is_refused_where_boxes_are_distilled():
    other = changed(
        RETINA,
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_stds=[.1, .1, .2, .2]))
    text = refusal(RETINA, other, output='boxes')
    assert '(0.1, 0.1, 0.2, 0.2)' in text.replace('[', '(').replace(']', ')')
    DenseHeadOutputs('scores').check(build(RETINA), build(other))


def test_boxes_in_another_unit_are_refused():
    text = refusal(FCOS, changed(FCOS, norm_on_bbox=False), output='boxes')
    assert "'norm_on_bbox': False" in text and "'norm_on_bbox': True" in text


def test_heads_of_another_kind_are_refused_where_boxes_are_distilled():
    text = refusal(
        RETINA,
        changed(RETINA, type='RetinaSepBNHead', num_ins=3),
        output='boxes')
    assert 'RetinaSepBNHead' in text and "'RetinaHead'" in text


def test_a_distribution_over_box_edges_is_not_taken_for_deltas():
    assert 'GFLHead gives a distribution' in refusal(GFL, GFL, output='boxes')


def test_another_activation_is_refused_with_both():
    assert "teacher head has softmax activation, the student's sigmoid" in \
        refusal(RETINA, SOFTMAX)


@pytest.mark.parametrize('head', [YOLOXHead, AutoAssignHead])
def test_scores_that_are_learnt_at_objects_alone_are_refused(head):
    fields = dict(feat_channels=8, norm_cfg=None) if head is AutoAssignHead \
        else dict(feat_channels=8, stacked_convs=1, strides=(8, ))

    class Own(head):
        pass

    model = nn.Module()
    model.bbox_head = Own(2, 8, **fields)
    with pytest.raises(ValueError, match='Own, whose class scores mean noth'):
        DenseHeadOutputs().check(model, model)


def test_a_head_that_is_not_dense_is_refused_by_its_name():
    with pytest.raises(
            ValueError,
            match="the student's neck is a FPN, not "
            'a dense head.*FPNFeatures'):
        DenseHeadOutputs(module='neck').check(build(RETINA), build(RETINA))
    with pytest.raises(ValueError, match="the teacher's neck is a FPN"):
        DenseHeadOutputs(teacher_module='neck').check(
            build(RETINA), build(RETINA))


def test_a_head_that_is_given_more_than_maps_is_refused():
    # As GLIP's, whose scores are of the words that it is given.
    class Fusion(ATSSHead):

        def forward(self, visual_feats, language_feats):
            pass

    model = build(dict(ATSS))
    model.bbox_head.__class__ = Fusion
    with pytest.raises(
            ValueError,
            match='Fusion, whose scores do not follow from the maps alone .*'
            'visual_feats, language_feats.*knowledge FPNFeatures'):
        DenseHeadOutputs().check(model, model)


def test_another_scale_of_the_same_box_code_is_refused():
    student, teacher = (
        changed(ATSS, bbox_coder=dict(type='TBLRBBoxCoder', normalizer=n))
        for n in (4., 8.))
    text = refusal(student, teacher, output='boxes')
    assert 'box code' in text and "'normalizer': 8.0" in text
    DenseHeadOutputs('boxes').check(build(student), build(student))


def test_how_a_box_is_clipped_is_no_part_of_its_code():
    student, teacher = (
        changed(
            RETINA,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', clip_border=clip))
        for clip in (True, False))
    DenseHeadOutputs('boxes').check(build(student), build(teacher))


def test_outputs_of_other_shapes_are_refused_on_the_first_batch(tmp_path):
    student, teacher = build(ATSS), teacher_of(ATSS, tmp_path / 't.pth')
    teacher.model.bbox_head.atss_cls = nn.Conv2d(8, 5, 3, padding=1)
    with pytest.raises(
            ValueError,
            match=r'bbox_head.scores\[0\]: the student '
            r'gives \(2, 8, 8, 1, 2\), the teacher '
            r'\(2, 8, 8, 1, 5\)'):
        pairs_of(DenseHeadOutputs(), student, teacher)


@pytest.mark.parametrize('fields, message', [
    (dict(output='box'), "one of 'scores', 'boxes', but got 'box'"),
    (dict(anchors=0), 'unless "all", should be an integer >= 1, but got 0'),
    (dict(anchors='top'), 'unless "all", should be an integer'),
    (dict(positive_thr=1.),
     'should be a finite number >= 0 and < 1, but got 1.0'),
])
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DenseHeadOutputs(**fields)
