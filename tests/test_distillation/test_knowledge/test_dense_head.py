# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from builders import build, outputs_of, pairs_of, teacher_of
from mmdet.models import TOODHead
from tiny_heads import ATSS, FCOS, GFL, RETINA, SOFTMAX, TOOD

from mmw2s.distillation.knowledge import DenseHeadOutputs
from mmw2s.distillation.knowledge.dense_head import _logit, best_probability

HEADS = dict(retinanet=RETINA, fcos=FCOS, atss=ATSS, gfl=GFL)


@pytest.fixture(scope='module')
def pair_of(tmp_path_factory):
    """Student and teacher of one config; made once each."""
    made = {}

    def get(cfg):
        key = id(cfg)
        if key not in made:
            path = tmp_path_factory.mktemp('t') / 'teacher.pth'
            made[key] = build(cfg, 0), teacher_of(cfg, path, 1)
        return made[key]

    return get


def flat(levels, width):
    """As mmdet lays out the anchors of its heads."""
    return torch.cat([
        level.permute(0, 2, 3, 1).reshape(len(level), -1, width)
        for level in levels
    ], 1)


@pytest.mark.parametrize(
    'kind, output',
    [
        (kind, output) for kind in HEADS for output in ('scores', 'boxes')
        if (kind, output) != ('gfl', 'boxes')  # no deltas: refused
    ])
def test_pairs_are_views_of_the_heads_outputs_in_mmdets_order(
        pair_of, kind, output):
    student, teacher = pair_of(HEADS[kind])
    pairs, recorded, outputs = pairs_of(
        DenseHeadOutputs(output), student, teacher, size=(64, 96))
    index = 0 if output == 'scores' else 1
    anchors = 3 if kind == 'retinanet' else 1
    for who, calls in (('student', recorded), ('teacher', outputs)):
        levels = calls['bbox_head'][0].output[index]
        found = [getattr(pair, who) for pair in pairs]
        width = levels[0].shape[1] // anchors
        assert [tuple(f.shape) for f in found] == [
            (2, 64 // s, 96 // s, anchors, width) for s in (8, 16, 32)
        ]
        for view_, level in zip(found, levels):
            assert view_.data_ptr() == level.data_ptr()
        assert torch.equal(
            torch.cat([f.flatten(1, 3) for f in found], 1),
            flat(levels, width))
    assert [p.name
            for p in pairs] == [f'bbox_head.{output}[{i}]' for i in range(3)]
    assert all(p.student.requires_grad and not p.teacher.requires_grad
               for p in pairs)


def test_boxes_are_those_of_the_training_form(pair_of):
    student, teacher = pair_of(FCOS)
    pairs, _, outputs = pairs_of(DenseHeadOutputs('boxes'), student, teacher)
    with torch.no_grad():
        in_eval = teacher.model.bbox_head(
            teacher.model.extract_feat(outputs.inputs))[1]
    assert len(pairs) == len(in_eval) == 3
    for stride, pair, decoded in zip((8, 16, 32), pairs, in_eval):
        assert torch.allclose(pair.teacher.flatten() * stride,
                              decoded.permute(0, 2, 3, 1).flatten())


# -- normalization and weights -------------------------------------------


def probabilities(outputs, threshold, best=None):
    """By hand: the best probability of each anchor, 0 below the threshold."""
    scores = flat(outputs['bbox_head'][0].output[0], 2)
    best = scores.sigmoid().amax(-1)
    return torch.where(best >= threshold, best, torch.zeros(()))


@pytest.fixture
def confident(pair_of):
    """A teacher with positives: its scores lie around 0.05."""
    student, teacher = pair_of(RETINA)
    layer = teacher.model.bbox_head.retina_cls
    kept = copy.deepcopy(layer.state_dict())
    torch.manual_seed(0)
    layer.bias.fill_(-3.)
    layer.weight.normal_(std=2.)
    yield student, teacher
    layer.load_state_dict(kept)


@pytest.mark.parametrize('threshold', [0.05, 0.3, 0.])
def test_scores_are_divided_by_the_teachers_positives(confident, threshold):
    pairs, _, outputs = pairs_of(
        DenseHeadOutputs(positive_thr=threshold), *confident)
    expected = probabilities(outputs, threshold).sum()
    assert expected > 1.5
    for pair in pairs:
        assert pair.avg_factor.shape == () and pair.weight is None
        assert pair.avg_factor.item() == pytest.approx(expected.item())


def test_without_positives_the_divisor_is_1_an_image(pair_of):
    pairs, _, _ = pairs_of(
        DenseHeadOutputs(positive_thr=0.9999), *pair_of(RETINA))
    assert pairs[0].avg_factor.item() == len(pairs[0].student)


def divisor(probability, anchors=100_000, images=2):
    """Of a teacher that gives one probability to all anchors."""
    knowledge = DenseHeadOutputs()
    logit = torch.logit(torch.tensor(probability))
    scores = logit.expand(images, anchors // images, 1, 1, 1)
    confidence = best_probability([scores], 'sigmoid')
    return knowledge._positives(confidence).item()


def test_a_teacher_that_is_sure_of_nothing_does_not_count_for_all():
    assert divisor(0.0499) == pytest.approx(249, rel=0.01)
    assert divisor(0.001) == pytest.approx(10)
    assert divisor(0.001, anchors=100) == 2


def test_the_divisor_of_a_sure_teacher_is_that_of_its_positives():
    assert divisor(0.3) == pytest.approx(30_000)


def test_boxes_weigh_as_much_as_the_teacher_is_sure_and_0_on_negatives(
        confident):
    pairs, _, outputs = pairs_of(
        DenseHeadOutputs('boxes', positive_thr=0.1), *confident)
    weights = torch.cat([pair.weight.flatten(1) for pair in pairs], 1)
    expected = probabilities(outputs, 0.1)
    assert (expected == 0).any() and (expected > 0.1).any()
    assert torch.allclose(weights, expected)
    assert pairs[0].avg_factor.item() == pytest.approx(expected.sum().item())


def test_scores_and_boxes_share_what_is_made_of_the_teachers_scores(confident):
    scores = DenseHeadOutputs('scores')
    pairs, recorded, outputs = pairs_of(scores, *confident)
    boxes = DenseHeadOutputs('boxes')
    boxes.bind(confident[0], confident[1].model)
    boxes._confidence = None  # would be called
    assert boxes.pairs(recorded, outputs)[0].avg_factor is pairs[0].avg_factor


# -- the surest anchors --------------------------------------------------


@pytest.mark.parametrize('output', ['scores', 'boxes'])
@pytest.mark.parametrize('k', [1, 7, 40])
def test_the_anchors_of_which_the_teacher_is_surest_are_taken(
        confident, output, k):
    threshold = 0.3
    pairs, recorded, outputs = pairs_of(
        DenseHeadOutputs(output, anchors=k, positive_thr=threshold),
        *confident,
        size=(64, 96))
    pair, = pairs
    assert pair.name == f'bbox_head.{output}[top {k}]'
    # Below the threshold too the surest go first.
    best = probabilities(outputs, 0.)
    _, index = best.topk(k, 1)
    level = 0 if output == 'scores' else 1
    width = 2 if output == 'scores' else 4
    for found, calls in ((pair.student, recorded), (pair.teacher, outputs)):
        every = flat(calls['bbox_head'][0].output[level], width)
        expected = torch.stack([image[i] for image, i in zip(every, index)])
        assert torch.equal(found, expected)
    if output == 'boxes':
        assert torch.equal(pair.weight,
                           probabilities(outputs, threshold).gather(1, index))
    else:
        assert pair.weight is None


def test_more_anchors_than_there_are_means_all(confident):
    pairs, _, _ = pairs_of(DenseHeadOutputs(anchors=10**6), *confident)
    assert pairs[0].student.shape == (2, 3 * (64 + 16 + 4), 2)


def test_gradients_reach_the_surest_anchors_and_no_other(confident):
    pairs, recorded, outputs = pairs_of(
        DenseHeadOutputs(anchors=5), *confident)
    levels = recorded['bbox_head'][0].output[0]
    grads = torch.autograd.grad(pairs[0].student.sum(), levels)
    found = flat(grads, 2)
    _, index = probabilities(outputs, 0.).topk(5, 1)
    expected = torch.zeros_like(found).scatter_(
        1, index[..., None].expand(-1, -1, 2), 1.)
    assert torch.equal(found, expected)


def test_the_surest_anchors_are_taken_without_copying_the_levels(confident):
    _, recorded, outputs = pairs_of(DenseHeadOutputs(), *confident)
    knowledge = DenseHeadOutputs(anchors=4)
    knowledge.check(confident[0], confident[1].model)
    knowledge.bind(confident[0], confident[1].model)
    largest = recorded['bbox_head'][0].output[0][0].numel()
    made = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and not any(
                    isinstance(a, torch.Tensor) and a.untyped_storage().
                    data_ptr() == out.untyped_storage().data_ptr()
                    for a in args):
                made.append(out.numel())
            return out

    with Watch():
        knowledge.pairs(recorded, outputs)
    assert made and max(made) < largest


# -- other kinds of scores -----------------------------------------------


def test_probabilities_of_tood_are_turned_into_logits(pair_of):
    student, teacher = pair_of(TOOD)
    pairs, recorded, outputs = pairs_of(DenseHeadOutputs(), student, teacher)
    for who, calls in (('student', recorded), ('teacher', outputs)):
        for pair, level in zip(pairs, calls['bbox_head'][0].output[0]):
            given = level.permute(0, 2, 3, 1)[:, :, :, None]
            assert torch.allclose(
                getattr(pair, who).sigmoid(), given, atol=1e-5)
    best = flat(outputs['bbox_head'][0].output[0], 2).amax(-1)
    expected = best[best >= 0.05].sum().clamp(min=2)
    assert torch.allclose(pairs[0].avg_factor, expected)


def test_a_head_that_descends_from_toods_gives_probabilities_too(
        pair_of, monkeypatch):

    class Own(TOODHead):
        pass

    student, teacher = pair_of(TOOD)
    plain, _, _ = pairs_of(DenseHeadOutputs(), student, teacher)
    for model in (student, teacher.model):
        monkeypatch.setattr(model.bbox_head, '__class__', Own)
    own, _, _ = pairs_of(DenseHeadOutputs(), student, teacher)
    assert len(own) == len(plain) == 3
    for pair, expected_pair in zip(own, plain):
        assert torch.equal(pair.teacher, expected_pair.teacher)
        assert pair.avg_factor == expected_pair.avg_factor


def test_logits_of_tood_stay_finite_at_0_and_1():
    logits, = _logit([torch.tensor([0., 1., 0.5])])
    assert torch.isfinite(logits).all() and logits[2] == 0


def test_the_background_of_a_softmax_head_is_no_class(pair_of):
    student, teacher = pair_of(SOFTMAX)
    pairs, _, outputs = pairs_of(
        DenseHeadOutputs(positive_thr=0.), student, teacher)
    assert pairs[0].student.shape[-1] == 3
    scores = flat(outputs['bbox_head'][0].output[0], 3)
    best = scores.softmax(-1)[..., :2].amax(-1)
    assert torch.allclose(pairs[0].avg_factor, best.sum())
    found, = best_probability([pairs[0].teacher], 'softmax')
    assert torch.allclose(found.flatten(1), best[:, :found[0].numel()])


def test_levels_with_different_numbers_of_anchors_are_read():
    ssd = dict(
        type='SingleStageDetector',
        data_preprocessor=RETINA['data_preprocessor'],
        backbone=RETINA['backbone'],
        neck=RETINA['neck'],
        bbox_head=dict(
            type='SSDHead',
            num_classes=2,
            in_channels=[8, 8, 8],
            anchor_generator=dict(
                type='SSDAnchorGenerator',
                scale_major=False,
                input_size=64,
                min_sizes=[10, 20, 30],
                max_sizes=[20, 30, 40],
                basesize_ratio_range=None,
                strides=[8, 16, 32],
                ratios=[[2], [2, 3], [2]])))
    model = build(ssd)
    knowledge = DenseHeadOutputs()
    knowledge.check(model, model)
    knowledge.bind(model, model)
    maps = model.bbox_head([torch.rand(2, 8, s, s) for s in (8, 4, 2)])
    levels = knowledge._per_anchor(maps[0])
    assert [tuple(level.shape[1:]) for level in levels] == [(8, 8, 4, 3),
                                                            (4, 4, 6, 3),
                                                            (2, 2, 4, 3)]


def test_the_names_tell_scores_from_boxes():
    assert DenseHeadOutputs().name == 'cls'
    assert DenseHeadOutputs('boxes').name == 'box'


def test_the_teachers_head_is_run_once_for_scores_and_boxes(pair_of):
    _, teacher = pair_of(RETINA)
    runs = []
    handle = teacher.model.bbox_head.register_forward_hook(
        lambda *_: runs.append(1))
    outputs = outputs_of(teacher, ['bbox_head'], form=['bbox_head'])
    outputs['bbox_head'], outputs['bbox_head']
    handle.remove()
    assert runs == [1]
