# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import numpy as np
import pytest
from builders import build, pairs_of, teacher_of
from tiny_heads import ATSS, GFL

from mmw2s.distillation.knowledge import DenseHeadOutputs, EdgeDistributions
from mmw2s.models import KDLoss


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_the_loss_is_that_of_ld_on_the_teachers_positives(tmp_path):
    student, teacher = build(GFL), teacher_of(GFL, tmp_path / 't.pth')
    for p in teacher.model.bbox_head.parameters():  # surer of some
        p.data.mul_(3.)
    knowledge = EdgeDistributions(positive_thr=0.6)
    pairs, recorded, outputs = pairs_of(knowledge, student, teacher)
    assert [pair.student.shape for pair in pairs] == [(2, n, n, 1, 4, 5)
                                                      for n in (8, 4, 2)]
    found = sum(
        KDLoss(10.)(p.student, p.teacher, p.weight, p.avg_factor)
        for p in pairs)
    # From the maps themselves: (B, 4 * 5, H, W), edge by edge.
    total = count = 0.
    (scores, edges), (_, own) = (
        calls['bbox_head'][0].output for calls in (outputs, recorded))
    for level, t, s in zip(scores, edges, own):
        sure = level.sigmoid().amax(1).double().numpy()
        sure = sure * (sure >= 0.6)
        count += (sure > 0).sum()
        p, q = (
            softmax(x.detach().double().numpy().reshape(
                2, 4, 5, *x.shape[2:]).transpose(0, 3, 4, 1, 2) / 10)
            for x in (t, s))
        kl = (p * (np.log(p) - np.log(q))).sum(-1).sum(-1)
        total += 100 * (sure * kl).sum()
    assert 0 < count < 168
    np.testing.assert_allclose(
        found.item(), total / pairs[0].avg_factor.item(), rtol=1e-4)
    _, confidence, avg_factor = DenseHeadOutputs._confidence(knowledge, scores)
    assert pairs[0].avg_factor == 4 * avg_factor


def test_heads_without_distributions_are_refused():
    student = build(ATSS)
    with pytest.raises(
            ValueError,
            match='the student\'s head is a ATSSHead, which '
            'gives one number .* output="boxes"'):
        EdgeDistributions().check(student, student)


def test_another_number_of_distances_is_refused():
    other = copy.deepcopy(GFL)
    other['bbox_head']['reg_max'] = 8
    with pytest.raises(
            ValueError, match='teacher head has 8 as reg_max, the '
            'student\'s 4'):
        EdgeDistributions().check(build(GFL), build(other))


def test_boxes_of_such_a_head_name_this_knowledge():
    student = build(GFL)
    with pytest.raises(ValueError, match='use EdgeDistributions'):
        DenseHeadOutputs('boxes').check(student, student)
