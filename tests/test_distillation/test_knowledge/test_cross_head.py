# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from builders import batch, build, pairs_of, teacher_of
from tiny_heads import ATSS, FCOS, GFL, RETINA, TOOD

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.knowledge import CrossHeadScores
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms


def deeper(model, convs=3, **head):
    model = copy.deepcopy(model)
    model['bbox_head'].update(stacked_convs=convs, **head)
    return model


@pytest.mark.parametrize('model', [RETINA, FCOS, ATSS, GFL])
@pytest.mark.parametrize('left', [0, 1, 2])
def test_features_of_the_teacher_itself_give_the_teachers_scores(
        model, left, tmp_path):
    model = deeper(model)
    teacher = teacher_of(model, tmp_path / 't.pth')
    student = build(model)
    student.load_state_dict(teacher.model.state_dict())
    student.eval().train = lambda mode=True: student  # as the teacher is
    pairs, _, _ = pairs_of(CrossHeadScores(left=left), student, teacher)
    for pair in pairs:
        torch.testing.assert_close(pair.student, pair.teacher)


def test_the_students_features_go_through_the_teachers_last_layers(tmp_path):
    model = deeper(RETINA)
    student, teacher = build(model), teacher_of(model, tmp_path / 't.pth')
    pairs, recorded, _ = pairs_of(CrossHeadScores(), student, teacher)
    head = teacher.model.bbox_head
    features = recorded['bbox_head.cls_convs.1']
    assert len(features) == len(pairs) == 3
    for call, pair in zip(features, pairs):
        want = head.retina_cls(head.cls_convs[2](call.output))
        torch.testing.assert_close(
            pair.student.flatten(3), want.permute(0, 2, 3, 1))
    sum(pair.student.sum() for pair in pairs).backward()
    own = student.bbox_head
    assert own.cls_convs[1].conv.weight.grad.abs().sum() > 0
    # Neither the student's last layers nor the teacher learn from it.
    assert own.cls_convs[2].conv.weight.grad is None
    assert own.retina_cls.weight.grad is None
    assert all(p.grad is None for p in teacher.model.parameters())


def test_it_costs_the_last_layers_once_more_and_nothing_else(tmp_path):
    model = deeper(RETINA)
    calls = []
    for entry in ('DenseHeadOutputs', 'CrossHeadScores'):
        student, teacher = build(model), teacher_of(model, tmp_path / 't.pth')
        terms = build_terms([
            dict(
                knowledge=dict(type=entry),
                loss=dict(type='QualityFocalKDLoss'))
        ])
        distiller = Distiller(student.train(), teacher, terms, Constant(1.))
        distiller.bind(10, 5)
        distiller.attach()
        distiller.step(0)
        seen = []
        for whose, net in (('student', student), ('teacher', teacher.model)):
            for name, module in net.named_modules():
                if isinstance(module, torch.nn.Conv2d):
                    module.register_forward_hook(
                        lambda *_, n=f'{whose}.{name}': seen.append(n))
        student(*batch(), mode='loss')
        calls.append(sorted(seen))
    more = list(calls[1])
    for name in calls[0]:
        more.remove(name)
    # On each of three levels, of twelve convolutions of the head before.
    assert more == ['teacher.bbox_head.cls_convs.2.conv'
                    ] * 3 + ['teacher.bbox_head.retina_cls'] * 3


def test_heads_of_different_depth_meet_before_the_last_layers(tmp_path):
    student = build(deeper(RETINA, 4))
    teacher = teacher_of(deeper(RETINA, 2), tmp_path / 't.pth')
    _, recorded, _ = pairs_of(CrossHeadScores(), student, teacher)
    assert 'bbox_head.cls_convs.2' in recorded


@pytest.mark.parametrize('student, teacher, said', [
    (RETINA, deeper(RETINA), r'the student\'s RetinaHead has 1 layers .*'
     'left=1 needs more'),
    (deeper(RETINA), deeper(RETINA, feat_channels=16),
     'teacher head has 16 channels within its cls_convs, the student\'s 8'),
    (TOOD, TOOD, 'TOODHead has 0 layers of cls_convs'),
])
def test_heads_that_cannot_be_crossed_are_refused(student, teacher, said):
    with pytest.raises(ValueError, match=said):
        CrossHeadScores().check(build(student), build(teacher))
