# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import build, pairs_of, teacher_of
from tiny_heads import FCOS, RETINA, SOFTMAX
from toys import retinanet

from mmw2s.distillation.knowledge import FPNFeatures, ScoredFeatures
from mmw2s.distillation.terms import build_terms
from mmw2s.models import MSEKDLoss


@pytest.mark.parametrize('model, anchors', [(RETINA, 3), (FCOS, 1),
                                            (SOFTMAX, 3)])
def test_a_location_counts_by_the_teachers_best_score_there(
        model, anchors, tmp_path):
    student, teacher = build(model), teacher_of(model, tmp_path / 't.pth')
    pairs, _, outputs = pairs_of(ScoredFeatures(), student, teacher)
    plain, _, _ = pairs_of(FPNFeatures(), student, teacher)
    assert len(pairs) == 3
    scores = outputs['bbox_head'][0].output[0]
    for pair, without, level in zip(pairs, plain, scores):
        assert torch.equal(pair.student, without.student)
        assert torch.equal(pair.teacher, without.teacher)
        logits = level.unflatten(1, (anchors, -1))
        if model is SOFTMAX:  # the background is the last class
            best = logits.softmax(2)[:, :, :-1].amax((1, 2))
        else:
            best = logits.sigmoid().amax((1, 2))
        torch.testing.assert_close(pair.weight, best[:, None])


def test_resized_maps_have_resized_weights(tmp_path):
    student = build(RETINA)
    teacher = teacher_of(RETINA, tmp_path / 't.pth')
    knowledge = ScoredFeatures(levels=[0])
    outputs = pairs_of(knowledge, student, teacher)[2]
    recorded = dict(
        neck=[type(outputs['neck'][0])((), (torch.randn(2, 8, 4, 4), ))])
    pair, = knowledge.pairs(recorded, outputs)
    assert pair.weight.shape == (2, 1, 4, 4)
    full = torch.nn.functional.avg_pool2d(
        outputs['bbox_head'][0].output[0][0].unflatten(1,
                                                       (3, -1)).sigmoid().amax(
                                                           (1, 2))[:, None], 2)
    torch.testing.assert_close(pair.weight, full)
    loss = MSEKDLoss()(pair.student, pair.teacher, pair.weight)
    want = (pair.weight * (pair.student - pair.teacher)**2).mean()
    torch.testing.assert_close(loss, want)


def test_it_asks_for_no_more_than_the_teachers_scores(tmp_path):
    term, = build_terms([
        dict(knowledge=dict(type='ScoredFeatures'), loss=dict(type='PKDLoss'))
    ])
    assert term.key == 'loss_kd_scored'
    assert term.knowledge.calls_needed(dict(neck=[None])) == dict(
        neck=1, bbox_head=1)


def test_a_head_that_is_no_dense_one_is_refused(tmp_path):
    student = build(retinanet(18))
    with pytest.raises(
            ValueError,
            match='backbone is a ResNet.* cannot '
            'weight the maps. Use FPNFeatures'):
        ScoredFeatures(head='backbone').check(student, student)


def test_maps_of_other_levels_than_the_heads_are_refused(tmp_path):
    student, teacher = build(RETINA), teacher_of(RETINA, tmp_path / 't.pth')
    knowledge = ScoredFeatures('backbone')
    with pytest.raises(ValueError, match='scores of other levels'):
        pairs_of(knowledge, student, teacher)
