# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import build, teacher_of
from tiny_two_stage import (c4, cascade_rcnn, faster_rcnn, mask_rcnn,
                            pairs_in_training)
from toys import retinanet

from mmw2s.distillation.knowledge import RoIHeadOutputs
from mmw2s.distillation.recorder import Call


def refusal(student, teacher, **fields):
    knowledge = RoIHeadOutputs(**fields)
    with pytest.raises(ValueError) as error:
        knowledge.check(build(student), build(teacher))
    return str(error.value)


@pytest.mark.parametrize('kind, output', [(faster_rcnn, 'scores'),
                                          (cascade_rcnn, 'boxes'),
                                          (mask_rcnn, 'masks')])
def test_other_classes_are_refused_with_both_numbers(kind, output):
    text = refusal(kind(), kind(num_classes=80), output=output)
    assert "teacher head has 80 classes, the student's 2" in text
    assert 'FPNFeatures' in text


def test_a_model_without_a_roi_head_is_refused_with_whose_it_is():
    assert 'the teacher (RetinaNet) has no module "roi_head"' in refusal(
        faster_rcnn(), retinanet())
    assert 'the student (RetinaNet) has no module "roi_head"' in refusal(
        retinanet(), faster_rcnn())


def test_a_module_that_is_no_roi_head_is_refused_by_its_name():
    text = refusal(faster_rcnn(), faster_rcnn(), teacher_module='rpn_head')
    assert "the teacher's rpn_head is a RPNHead, not a RoI head" in text


def test_a_roi_head_that_looks_at_more_than_rois_is_refused():
    model = cascade_rcnn()
    model['roi_head']['type'] = 'HybridTaskCascadeRoIHead'
    text = refusal(cascade_rcnn(), model)
    assert "teacher's roi_head is a HybridTaskCascadeRoIHead" in text
    assert 'Distill features instead' in text


def test_masks_of_a_head_without_any_are_refused():
    text = refusal(mask_rcnn(), faster_rcnn(), output='masks')
    assert "the teacher's roi_head is a StandardRoIHead, not a RoI head " \
        'with a mask_head' in text


def test_scores_that_are_no_softmax_are_refused():
    sigmoid = faster_rcnn(
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True))
    for output in ('scores', 'boxes'):
        text = refusal(faster_rcnn(), sigmoid, output=output)
        assert 'has a Shared2FCBBoxHead with CrossEntropyLoss, whose ' \
            'scores are no softmax' in text
    seesaw = faster_rcnn(loss_cls=dict(type='SeesawLoss', num_classes=2))
    assert 'with SeesawLoss, whose' in refusal(seesaw, seesaw)


def test_a_head_that_sees_several_objects_in_an_roi_is_refused():
    model = faster_rcnn(type='MultiInstanceBBoxHead', num_instance=2)
    model['roi_head'].update(type='MultiInstanceRoIHead')
    assert 'MultiInstanceBBoxHead with' in refusal(model, model)


@pytest.mark.parametrize('change', [
    dict(reg_class_agnostic=True),
    dict(
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_stds=[.2, .2, .4, .4]))
])
def test_another_box_code_is_refused_where_boxes_are_distilled(change):
    student, teacher = faster_rcnn(), faster_rcnn(**change)
    text = refusal(student, teacher, output='boxes')
    assert 'box code' in text and 'Give both heads the same' in text
    RoIHeadOutputs('scores').check(build(student), build(teacher))


def test_the_codes_of_stages_that_are_compared_with_one_another_count():
    # The codes of Cascade R-CNN get finer from stage to stage.
    text = refusal(cascade_rcnn(), faster_rcnn(), output='boxes')
    assert 'box code' in text


def test_a_head_without_deltas_is_refused_where_boxes_are_distilled():
    model = faster_rcnn(with_reg=False)
    text = refusal(model, model, output='boxes')
    assert 'Shared2FCBBoxHead, which gives no box deltas' in text


def test_masks_from_the_boxes_own_roi_features_are_refused():
    model = mask_rcnn()
    del model['roi_head']['mask_roi_extractor']
    text = refusal(model, mask_rcnn(), output='masks')
    assert 'has no mask_roi_extractor of its own' in text


def test_masks_of_another_size_are_refused_on_the_first_batch(tmp_path):
    small = mask_rcnn()
    large = mask_rcnn()
    large['roi_head']['mask_roi_extractor']['roi_layer']['output_size'] = 4
    with pytest.raises(
            ValueError,
            match=r'roi_head.mask_head.masks: the student gives '
            r'\(\d+, 4, 4, 1\), the teacher \(\d+, 8, 8, 1\)'):
        pairs_in_training(
            RoIHeadOutputs('masks'), build(small),
            teacher_of(large, tmp_path / 't.pth'))


def test_scores_of_another_width_are_refused_on_the_first_batch(tmp_path):
    teacher = teacher_of(faster_rcnn(), tmp_path / 't.pth')
    teacher.model.roi_head.bbox_head.fc_cls = torch.nn.Linear(16, 6)
    with pytest.raises(ValueError, match=r'\(32, 3\), the teacher \(32, 6\)'):
        pairs_in_training(RoIHeadOutputs(), build(faster_rcnn()), teacher)


def test_a_student_that_multiplies_its_batch_is_refused(tmp_path):
    knowledge = RoIHeadOutputs()
    student = build(faster_rcnn())
    teacher = teacher_of(faster_rcnn(), tmp_path / 't.pth')
    _, recorded, outputs = pairs_in_training(knowledge, student, teacher)
    call, = recorded['roi_head.bbox_roi_extractor']
    maps, rois = call.inputs
    recorded['roi_head.bbox_roi_extractor'] = [
        Call((tuple(torch.cat([m] * 3) for m in maps), rois), call.output)
    ]
    with pytest.raises(
            ValueError, match='looks at 6 images, the teacher.* at 2'):
        knowledge.pairs(recorded, outputs)


def test_labels_that_are_not_of_the_rois_are_refused(tmp_path):
    knowledge = RoIHeadOutputs()
    teacher = teacher_of(faster_rcnn(), tmp_path / 't.pth')
    _, recorded, outputs = pairs_in_training(knowledge, build(faster_rcnn()),
                                             teacher)
    name = 'roi_head.bbox_head.loss_cls'
    call, = recorded[name]
    recorded[name] = [Call((call.inputs[0], call.inputs[1][:5]), call.output)]
    with pytest.raises(ValueError, match=f'{name} was given no input of 32'):
        knowledge.pairs(recorded, outputs)


def test_boxes_of_five_numbers_are_refused_where_boxes_are_distilled():
    models = [build(faster_rcnn()) for _ in range(2)]
    for model in models:  # as rotated ones have
        model.roi_head.bbox_head.bbox_coder.encode_size = 5
    with pytest.raises(
            ValueError,
            match="the student's roi_head has a DeltaXYWHBBoxCoder, whose "
            'boxes are of 5 numbers.*leave the boxes out'):
        RoIHeadOutputs('boxes').check(*models)
    RoIHeadOutputs('scores').check(*models)


def test_what_to_distil_instead_is_a_module_that_both_models_have():
    student, teacher = c4(), faster_rcnn(num_classes=80)
    assert 'knowledge FPNFeatures, module="backbone", ' \
        'teacher_module="neck"' in refusal(student, teacher)


def test_a_bad_field_is_refused():
    with pytest.raises(ValueError, match="'boxes', 'masks', but got 'x'"):
        RoIHeadOutputs('x')
