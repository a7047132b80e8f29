# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from tiny_segmentors import batch, build, teacher_of

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.knowledge import PixelScores
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms


def distilled(student, teacher, loss=None, step=0, **fields):
    """The distillation loss of a batch, and its pair of maps."""
    pairs = []
    entry = dict(
        knowledge=dict(type='PixelScores', **fields),
        loss=loss or dict(type='CWDLoss', tau=4., loss_weight=3.))
    distiller = Distiller(student.train(), teacher, build_terms([entry]),
                          Constant(1.))
    distiller.inspects = True
    distiller.bind(10, 5)
    knowledge = distiller.terms[0].knowledge
    given = knowledge.pairs
    knowledge.pairs = lambda *args: pairs.extend(given(*args)) or pairs
    distiller.attach()
    distiller.step(0)
    losses = student(*batch(), mode='loss')
    distiller.remove()
    return losses['loss_kd_seg'], pairs


def test_the_scores_are_those_of_the_students_one_forward(tmp_path):
    student, teacher = build(width=8), teacher_of(tmp_path / 't.pth')
    calls = []
    student.decode_head.conv_seg.register_forward_hook(
        lambda module, args, output: calls.append(output))
    loss, (pair, ) = distilled(student, teacher)
    assert len(calls) == 1 and pair.student is calls[0]
    assert pair.student.shape == (2, 3, 4, 6)
    expected = teacher.model(batch()[0])
    torch.testing.assert_close(pair.teacher, expected)
    loss.backward()
    assert student.backbone.stem.weight.grad.abs().sum() > 0
    assert teacher.model.decode_head.conv_seg.weight.grad is None


def test_the_loss_is_that_of_the_paper(tmp_path):
    student, teacher = build(width=8), teacher_of(tmp_path / 't.pth')
    loss, (pair, ) = distilled(student, teacher)
    s, t = ((maps.detach() / 4).flatten(2).softmax(-1) for maps in pair[1:3])
    # Over 2 images and 3 classes, times T squared and the weight.
    expected = 3 * 16 * (t * (t / s).log()).sum() / (2 * 3)
    torch.testing.assert_close(loss.detach(), expected)


def test_maps_of_another_stride_are_resized_to_the_students(tmp_path):
    student = build(width=8)
    teacher = teacher_of(tmp_path / 't.pth', stride=2)
    _, (pair, ) = distilled(student, teacher)
    own = teacher.model(batch()[0])
    assert own.shape == (2, 3, 2, 3)
    torch.testing.assert_close(
        pair.teacher,
        F.interpolate(own, (4, 6), mode='bilinear', align_corners=False))


def test_pixels_may_be_compared_one_by_one(tmp_path):
    loss, _ = distilled(
        build(width=8), teacher_of(tmp_path / 't.pth'),
        dict(type='KDLoss', class_dim=1, temperature=2.))
    assert 0 < loss < float('inf')


def test_of_a_cascade_a_layer_is_named(tmp_path):
    student = build(width=8, cascade=True)
    _, pairs = distilled(
        student,
        teacher_of(tmp_path / 't.pth'),
        module='decode_head.1.conv_seg',
        teacher_module='decode_head.conv_seg')
    assert len(pairs) == 1


def test_one_map_for_two_classes_is_compared_with_one_alone(tmp_path):
    one = build(width=8, maps=1)
    PixelScores().check(one, build(maps=1))
    with pytest.raises(
            ValueError,
            match='teacher head has 2 score maps, the student\'s 1: .*of two '
            'classes a head may have one'):
        PixelScores().check(one, build(maps=2))


def test_a_layer_that_its_head_does_not_use_is_refused():
    used, idle = build(), build(head='IterativeDecodeHead')
    for owner, models in (('student', (idle, used)), ('teacher', (used,
                                                                  idle))):
        with pytest.raises(
                ValueError,
                match=f"the {owner}'s decode_head is a IterativeDecodeHead, "
                'which does not use its conv_seg. Distill features instead '
                r'\(knowledge FPNFeatures, module="backbone"\)'):
            PixelScores().check(*models)
    PixelScores('decode_head.kernels',
                'decode_head.conv_seg').check(idle, used)


def test_a_module_that_gives_several_maps_is_refused(tmp_path):
    with pytest.raises(ValueError, match='backbone gives 2 maps of an image'):
        distilled(
            build(width=8),
            teacher_of(tmp_path / 't.pth'),
            module='backbone',
            teacher_module='decode_head.conv_seg')


def test_a_layer_without_a_number_of_maps_is_looked_at_in_its_first_batch(
        tmp_path):
    with pytest.raises(
            ValueError, match='teacher head has 8 score maps, the student'):
        distilled(
            build(),
            teacher_of(tmp_path / 't.pth'),
            teacher_module='decode_head.dropout')


def test_the_loss_of_the_recipe_is_registered():
    assert MODELS.get('CWDLoss').compares == PixelScores.gives


def test_it_is_by_place_so_a_teacher_of_smaller_images_is_refused():
    assert PixelScores().by_place
