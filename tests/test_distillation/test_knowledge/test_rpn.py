# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import build, teacher_of
from tiny_two_stage import faster_rcnn, pairs_in_training

from mmw2s.distillation.knowledge import RPNOutputs


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    path = tmp_path_factory.mktemp('t') / 'teacher.pth'
    teacher = teacher_of(faster_rcnn(num_classes=5), path)
    torch.nn.init.normal_(teacher.model.rpn_head.rpn_cls.weight, std=1.)
    return build(faster_rcnn()), teacher


def flat(levels, width):
    """As mmdet lays out the anchors of its heads."""
    return torch.cat([
        level.permute(0, 2, 3, 1).reshape(len(level), -1, width)
        for level in levels
    ], 1)


@pytest.mark.parametrize('output', ['scores', 'boxes'])
def test_the_anchors_that_the_teacher_would_propose_are_compared(
        models, output):
    (pair, ), recorded, outputs = pairs_in_training(
        RPNOutputs(output, anchors=100), *models)
    objectness = flat(outputs['rpn_head'][0].output[0], 1)[..., 0].sigmoid()
    surest = objectness.topk(100, 1).indices
    index, width = (0, 1) if output == 'scores' else (1, 4)
    for found, calls in ((pair.student, recorded), (pair.teacher, outputs)):
        every = flat(calls['rpn_head'][0].output[index], width)
        assert torch.equal(found,
                           torch.stack([e[i] for e, i in zip(every, surest)]))
    positives = objectness[objectness >= 0.05].sum()
    assert pair.avg_factor.item() == pytest.approx(positives.item(), rel=1e-4)


def test_models_of_other_classes_have_it_in_common(models):
    assert not RPNOutputs.by_class
    pairs, _, _ = pairs_in_training(RPNOutputs(anchors='all'), *models)
    assert [p.name
            for p in pairs] == [f'rpn_head.scores[{i}]' for i in range(4)]
    assert pairs[0].student.shape == (2, 16, 16, 3, 1)


def test_the_teacher_looks_no_deeper_than_its_rpn(models):
    student, teacher = models
    runs = []
    handle = teacher.model.roi_head.bbox_head.register_forward_hook(
        lambda *_: runs.append(1))
    pairs_in_training(RPNOutputs(), student, teacher)
    handle.remove()
    assert not runs


def test_gradients_reach_the_students_rpn_and_not_the_teacher(models):
    student, teacher = models
    (pair, ), _, _ = pairs_in_training(RPNOutputs(), student, teacher)
    student.zero_grad()
    pair.student.sum().backward()
    assert student.rpn_head.rpn_cls.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.model.parameters())
    student.zero_grad()


def test_other_anchors_are_refused():
    other = faster_rcnn()
    other['rpn_head']['anchor_generator']['scales'] = [8]
    with pytest.raises(ValueError, match='the same anchor generator'):
        RPNOutputs().check(build(faster_rcnn()), build(other))


def test_the_names_tell_scores_from_boxes():
    assert [RPNOutputs(o).name
            for o in ('scores', 'boxes')] == ['rpn', 'rpn_box']


def test_a_model_that_is_given_its_proposals_is_refused():
    whole, fast = build(faster_rcnn()), build(faster_rcnn())
    del fast.rpn_head
    for owner, models in (('student', (fast, whole)), ('teacher', (whole,
                                                                   fast))):
        with pytest.raises(
                ValueError,
                match=f'the {owner} .FasterRCNN. has no module "rpn_head": it '
                'is given its proposals.*Leave RPNOutputs out'):
            RPNOutputs().check(*models)
