# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import build, pairs_of, teacher_of
from toys import retinanet

from mmw2s.distillation.knowledge import FPNFeatures


@pytest.fixture(scope='module')
def student():
    return build(retinanet(50, channels=8))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return teacher_of(
        retinanet(18, channels=8),
        tmp_path_factory.mktemp('t') / 'teacher.pth')


def other_teacher(tmp_path, outs=3, **fields):
    cfg = retinanet(18, **fields)
    cfg['neck']['num_outs'] = outs
    cfg['bbox_head']['anchor_generator']['strides'] = [8, 16, 32, 64][:outs]
    return teacher_of(cfg, tmp_path / 'other.pth')


def test_every_level_is_a_pair_of_the_two_models_own_maps(student, teacher):
    pairs, captured, view = pairs_of(FPNFeatures(), student, teacher)
    assert [pair.name for pair in pairs] == ['neck[0]', 'neck[1]', 'neck[2]']
    for i, pair in enumerate(pairs):
        assert pair.student is captured['neck'][0].output[i]
        assert pair.teacher is view['neck'][0].output[i]
        assert pair.student.requires_grad and not pair.teacher.requires_grad
        assert pair.weight is None and pair.avg_factor is None


@pytest.mark.parametrize('levels', [[0], [2, 0], (1, )])
def test_levels_are_chosen_by_index(student, teacher, levels):
    pairs, _, _ = pairs_of(FPNFeatures(levels=levels), student, teacher)
    assert [pair.name for pair in pairs] == [f'neck[{i}]' for i in levels]
    assert [pair.student.shape[-1] for pair in pairs] == \
        [8 // 2**i for i in levels]


def test_a_level_that_is_not_there_is_refused(student, teacher):
    with pytest.raises(
            ValueError,
            match='FPNFeatures.levels has 3, but the '
            'student gives 3 levels and the teacher 3'):
        pairs_of(FPNFeatures(levels=[3]), student, teacher)


def test_a_module_that_gives_one_map_is_a_single_level(student, teacher):
    knowledge = FPNFeatures('neck.lateral_convs.0')
    pairs, _, _ = pairs_of(knowledge, student, teacher)
    assert [pair.name for pair in pairs] == ['neck.lateral_convs.0[0]']


def test_differently_named_modules_are_paired(student, teacher):
    knowledge = FPNFeatures('neck.fpn_convs.0', 'neck.fpn_convs.1')
    with pytest.raises(
            ValueError,
            match=r'neck.fpn_convs.0\[0\]: the '
            r"student's map is \(2, 8, 8, 8\), the teacher's "
            r'\(2, 8, 4, 4\)'):
        pairs_of(knowledge, student, teacher)


def test_a_module_called_several_times_gives_pairs_call_by_call(
        student, teacher):
    knowledge = FPNFeatures('bbox_head.cls_convs.0')
    pairs, captured, _ = pairs_of(knowledge, student, teacher)
    assert len(captured['bbox_head.cls_convs.0']) == 3
    assert [pair.student.shape[-1] for pair in pairs] == [8, 4, 2]


def test_other_channels_are_refused_before_training(student, tmp_path):
    teacher = other_teacher(tmp_path, channels=16)
    with pytest.raises(
            ValueError,
            match="teacher's neck gives 16 channels, "
            "the student's neck 8"):
        FPNFeatures().check(student, teacher.model)


def test_another_number_of_levels_is_refused_before_training(
        student, tmp_path):
    teacher = other_teacher(tmp_path, outs=4, channels=8)
    with pytest.raises(
            ValueError,
            match="teacher's neck gives 4 levels, the "
            "student's neck 3.*FPNFeatures.levels"):
        FPNFeatures().check(student, teacher.model)


def test_common_levels_of_necks_that_have_more_or_fewer_are_taken(
        student, tmp_path):
    teacher = other_teacher(tmp_path, outs=4, channels=8)
    pairs, _, _ = pairs_of(FPNFeatures(levels=[0, 2]), student, teacher)
    assert len(pairs) == 2


def test_modules_that_do_not_tell_are_compared_on_the_first_batch(
        student, teacher):
    with pytest.raises(
            ValueError,
            match=r"backbone\[0\]: the student's map "
            r"is \(2, 32, 16, 16\), the teacher's "
            r'\(2, 8, 16, 16\)'):
        pairs_of(FPNFeatures('backbone'), student, teacher)


def test_a_module_with_fewer_levels_than_the_students_is_refused_then_too(
        student, teacher):
    with pytest.raises(
            ValueError,
            match="teacher's backbone gives 4 levels, "
            "the student's neck 3"):
        pairs_of(FPNFeatures('neck', 'backbone'), student, teacher)


def test_gradients_reach_the_student_alone(student, teacher):
    pairs, _, _ = pairs_of(FPNFeatures(), student, teacher)
    student.zero_grad()
    sum((p.student - p.teacher).square().sum() for p in pairs).backward()
    assert student.neck.lateral_convs[0].conv.weight.grad.abs().sum() > 0
    assert student.bbox_head.retina_cls.weight.grad is None
    assert all(p.grad is None for p in teacher.model.parameters())
    assert torch.is_grad_enabled()
