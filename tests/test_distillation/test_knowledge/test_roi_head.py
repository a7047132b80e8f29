# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
import torch.nn.functional as F
from builders import build, teacher_of
from mmcv.ops import roi_align
from mmdet.structures.bbox import bbox2roi
from tiny_two_stage import (c4, cascade_rcnn, faster_rcnn, mask_rcnn,
                            pairs_in_training, picture_batch)

from mmw2s.distillation.knowledge import RoIHeadOutputs, roi_head
from mmw2s.models.losses import BoxKDLoss, KDLoss, QualityFocalKDLoss


def ohem():
    """Its sampler runs the head on all proposals, to find the hard ones."""
    model = faster_rcnn()
    model['train_cfg']['rcnn']['sampler']['type'] = 'OHEMSampler'
    return model


KINDS = dict(
    faster=faster_rcnn,
    agnostic=lambda depth=18: faster_rcnn(depth, reg_class_agnostic=True),
    cascade=cascade_rcnn,
    mask=mask_rcnn,
    ohem=ohem,
    c4=c4)


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Student and teacher of a kind; made once each."""
    made = {}

    def get(kind):
        if kind not in made:
            path = tmp_path_factory.mktemp('t') / 'teacher.pth'
            made[kind] = (build(KINDS[kind]()),
                          teacher_of(KINDS[kind](), path))
            # Scores and deltas that tell RoIs and classes apart.
            for model in (made[kind][0], made[kind][1].model):
                for name, p in model.named_parameters():
                    if 'fc_cls.w' in name or 'fc_reg.w' in name:
                        torch.nn.init.normal_(p, std=.5)
        return made[kind]

    return get


def run(models, kind, output='scores', seed=0, **batch):
    student, teacher = models(kind)
    torch.manual_seed(seed)
    return pairs_in_training(
        RoIHeadOutputs(output), student, teacher,
        *(picture_batch(**batch) if batch else ()))


# -- the teacher on the student's proposals ------------------------------


def by_hand(model, inputs, rois):
    """Logits and deltas of a Faster R-CNN, without mmdet's RoI head."""
    with torch.no_grad():
        maps = model.extract_feat(inputs)
    side = ((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])).sqrt()
    coarse = side >= 112  # twice the finest scale of 56
    head = model.roi_head.bbox_head
    fine, large = (roi_align(maps[i], rois, 3, 1 / stride, 2)
                   for i, stride in ((0, 4), (1, 8)))
    x = torch.where(coarse[:, None, None, None], large, fine)
    x = x.flatten(1)
    for layer in head.shared_fcs:
        x = F.relu(F.linear(x, layer.weight, layer.bias))
    return (F.linear(x, head.fc_cls.weight, head.fc_cls.bias),
            F.linear(x, head.fc_reg.weight, head.fc_reg.bias))


@pytest.mark.parametrize('kind', ['faster', 'ohem'])
@pytest.mark.parametrize('output', ['scores', 'boxes'])
def test_the_teacher_scores_the_proposals_that_the_student_has_sampled(
        models, kind, output, monkeypatch):
    student, teacher = models(kind)
    sampled, bbox_loss = [], student.roi_head.bbox_loss
    monkeypatch.setattr(
        student.roi_head, 'bbox_loss',
        lambda x, results: sampled.extend(results) or bbox_loss(x, results))
    (pair, ), recorded, outputs = run(models, kind, output)
    rois = bbox2roi([result.priors for result in sampled])
    assert len(rois) > 20
    scores, deltas = by_hand(teacher.model, outputs.inputs, rois)
    expected = scores if output == 'scores' else deltas.reshape(-1, 2, 4)
    assert torch.allclose(pair.teacher, expected, atol=1e-5)
    assert pair.teacher.std() > 0.1
    logits = recorded['roi_head.bbox_head'][-1].output
    assert torch.equal(
        pair.student.flatten(1), logits[0 if output == 'scores' else 1])
    assert pair.name == f'roi_head.bbox_head.{output}'


@pytest.mark.parametrize('kind', ['faster', 'ohem'])
def test_labels_are_those_that_the_student_has_sampled(models, kind,
                                                       monkeypatch):
    student, _ = models(kind)
    sampled, bbox_loss = [], student.roi_head.bbox_loss
    monkeypatch.setattr(
        student.roi_head, 'bbox_loss',
        lambda x, results: sampled.extend(results) or bbox_loss(x, results))
    (pair, ), _, _ = run(models, kind)
    expected = torch.cat([
        torch.cat([r.pos_gt_labels,
                   torch.full((len(r.neg_priors), ), 2)]) for r in sampled
    ])
    assert torch.equal(pair.target, expected)
    assert {0, 1, 2} == set(expected.tolist())  # 2 is the background
    assert RoIHeadOutputs().gives_target
    assert not RoIHeadOutputs('boxes').gives_target


def test_the_students_sampling_is_what_it_is_without_us(models):
    student, _ = models('faster')
    seen = []
    handle = student.roi_head.bbox_roi_extractor.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[1]))
    run(models, 'faster', seed=3)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    student(*picture_batch(), mode='loss')
    handle.remove()
    assert torch.equal(*seen)
    assert torch.equal(after, torch.get_rng_state())


def test_the_teacher_proposes_nothing_and_looks_once_for_scores_and_boxes(
        models):
    student, teacher = models('faster')
    runs = []
    parts = ('backbone', 'rpn_head', 'roi_head.bbox_head')
    handles = [
        teacher.model.get_submodule(part).register_forward_hook(
            lambda *_, part=part: runs.append(part)) for part in parts
    ]
    _, recorded, outputs = run(models, 'faster')
    boxes = RoIHeadOutputs('boxes')
    boxes.check(student, teacher.model)
    boxes.bind(student, teacher.model)
    boxes.pairs(recorded, outputs)
    for handle in handles:
        handle.remove()
    assert runs == ['backbone', 'roi_head.bbox_head']


def test_no_graph_is_kept_of_the_teacher_and_it_stays_in_eval(models):
    (pair, ), _, _ = run(models, 'faster')
    assert pair.student.requires_grad and not pair.teacher.requires_grad
    assert not any(m.training for m in models('faster')[1].model.modules())


@pytest.mark.parametrize('kind', ['faster', 'cascade', 'mask', 'c4'])
@pytest.mark.parametrize('output, loss', [('scores', KDLoss()),
                                          ('boxes', BoxKDLoss())])
def test_gradients_reach_the_students_head_and_maps_and_not_the_teacher(
        models, kind, output, loss):
    student, teacher = models(kind)
    pairs, recorded, _ = run(models, kind, output)
    student.zero_grad()
    sum(loss(p.student, p.teacher, p.weight, p.avg_factor)
        for p in pairs).backward()
    layer = 'fc_cls' if output == 'scores' else 'fc_reg'
    heads = [p.grad for name, p in student.named_parameters() if layer in name]
    assert heads and all(g.abs().sum() > 0 for g in heads)
    assert student.backbone.layer3[0].conv1.weight.grad.abs().sum() > 0
    assert student.rpn_head.rpn_cls.weight.grad is None
    assert all(p.grad is None for p in teacher.model.parameters())
    student.zero_grad()


def test_a_head_without_a_neck_and_with_a_shared_part_is_read(models):
    student, teacher = models('c4')
    (pair, ), recorded, outputs = run(models, 'c4')
    rois = recorded['roi_head.bbox_roi_extractor'][0].inputs[1]
    model = teacher.model
    with torch.no_grad():
        maps = model.extract_feat(outputs.inputs)
        x = roi_align(maps[0], rois, 3, 1 / 16, 2)
        expected = model.roi_head.bbox_head(model.roi_head.shared_head(x))[0]
    assert torch.allclose(pair.teacher, expected, atol=1e-5)


# -- weights and divisors ------------------------------------------------


def test_scores_are_divided_by_the_number_of_rois(models):
    (pair, ), _, _ = run(models, 'faster')
    assert pair.avg_factor.item() == len(pair.student) == 32
    assert pair.weight is None
    assert pair.student.shape[-1] == 3  # the background too


@pytest.mark.parametrize('kind', ['faster', 'agnostic'])
def test_boxes_weigh_as_much_as_the_teacher_believes_in_their_class(
        models, kind):
    (scores, ), _, _ = run(models, kind)
    (pair, ), _, _ = run(models, kind, 'boxes')
    expected = scores.teacher.softmax(-1)[:, :2]
    if kind == 'agnostic':
        expected = 1 - scores.teacher.softmax(-1)[:, 2:]
    assert torch.allclose(pair.weight, expected, atol=1e-6)
    assert pair.student.shape == (32, 2 if kind == 'faster' else 1, 4)
    assert pair.avg_factor.item() == pytest.approx(
        expected.sum().item(), rel=1e-5)


@pytest.mark.parametrize('kind, output', [('faster', 'scores'),
                                          ('faster', 'boxes'),
                                          ('mask', 'masks')])
def test_divisors_are_averaged_over_ranks(models, kind, output, monkeypatch):
    (alone, ), _, _ = run(models, kind, output)

    def with_a_rank_of_twice_as_many(value, op):
        assert op == 'mean'
        value.mul_(1.5)

    monkeypatch.setattr(roi_head, 'all_reduce', with_a_rank_of_twice_as_many)
    (pair, ), _, _ = run(models, kind, output)
    assert torch.allclose(pair.avg_factor, 1.5 * alone.avg_factor)


def test_a_teacher_that_sees_background_only_says_next_to_nothing_of_boxes(
        models):
    layer = models('faster')[1].model.roi_head.bbox_head.fc_cls
    bias = layer.bias.clone()
    layer.bias[2] = 100.
    (pair, ), _, _ = run(models, 'faster', 'boxes')
    layer.bias.copy_(bias)
    assert pair.avg_factor.item() == 1
    loss = BoxKDLoss()(pair.student, pair.teacher, pair.weight,
                       pair.avg_factor)
    assert loss.item() < 1e-6


# -- stages --------------------------------------------------------------


@pytest.mark.parametrize('output', ['scores', 'boxes'])
def test_stages_are_compared_one_by_one_and_weighted_as_the_students(
        models, output):
    _, teacher = models('cascade')
    pairs, recorded, outputs = run(models, 'cascade', output)
    assert [p.name for p in pairs
            ] == [f'roi_head.bbox_head.{i}.{output}' for i in range(3)]
    roi_head = teacher.model.roi_head
    with torch.no_grad():
        maps = teacher.model.extract_feat(outputs.inputs)
    for i, (pair, weight) in enumerate(zip(pairs, (1., .5, .25))):
        rois = recorded[f'roi_head.bbox_roi_extractor.{i}'][0].inputs[1]
        with torch.no_grad():
            features = roi_head.bbox_roi_extractor[i](maps[:2], rois)
            expected = roi_head.bbox_head[i](features)
        assert torch.allclose(
            pair.teacher.flatten(1), expected[0 if output == 'scores' else 1])
        divisor = len(rois) if output == 'scores' else \
            pair.weight.sum().item()
        assert pair.avg_factor.item() == pytest.approx(divisor / weight)


def test_stages_that_only_the_student_has_are_scored_by_the_teachers_last(
        models):
    student, teacher = models('cascade')[0], models('faster')[1]
    pairs, recorded, outputs = pairs_in_training(RoIHeadOutputs(), student,
                                                 teacher)
    assert len(pairs) == 3
    for i, pair in enumerate(pairs):
        rois = recorded[f'roi_head.bbox_roi_extractor.{i}'][0].inputs[1]
        expected = by_hand(teacher.model, outputs.inputs, rois)[0]
        assert torch.allclose(pair.teacher, expected, atol=1e-5)


def test_a_student_of_one_stage_is_compared_with_the_teachers_first(models):
    student, teacher = models('faster')[0], models('cascade')[1]
    (pair, ), recorded, outputs = pairs_in_training(RoIHeadOutputs(), student,
                                                    teacher)
    rois = recorded['roi_head.bbox_roi_extractor'][0].inputs[1]
    with torch.no_grad():
        expected = teacher.model.roi_head._bbox_forward(
            0, teacher.model.extract_feat(outputs.inputs), rois)
    assert torch.allclose(pair.teacher, expected['cls_score'])


def test_later_stages_that_had_no_proposals_have_no_pair(models, monkeypatch):
    student, teacher = models('cascade')
    _, recorded, outputs = run(models, 'cascade')
    knowledge = RoIHeadOutputs()
    knowledge.check(student, teacher.model)
    knowledge.bind(student, teacher.model)
    for name in recorded:
        if '.2' in name:
            recorded[name] = []
    exchanged = []
    monkeypatch.setattr(roi_head, 'all_reduce',
                        lambda value, op: exchanged.append(value.tolist()))
    assert len(knowledge.pairs(recorded, outputs)) == 2
    # Other ranks, which may have all stages, wait for as many numbers.
    assert exchanged == [[32., 32., 0.]]


# -- masks ---------------------------------------------------------------


def test_masks_are_those_of_the_positive_rois_own_classes(models):
    _, teacher = models('mask')
    (pair, ), recorded, outputs = run(models, 'mask', 'masks')
    rois = recorded['roi_head.mask_roi_extractor'][0].inputs[1]
    labels = recorded['roi_head.mask_head.loss_mask'][0].inputs[2]
    assert len(rois) == len(labels) >= 6 and set(labels.tolist()) == {0, 1}
    with torch.no_grad():
        maps = teacher.model.extract_feat(outputs.inputs)
        expected = teacher.model.roi_head._mask_forward(
            maps, rois=rois)['mask_preds']
    for i, label in enumerate(labels):
        assert torch.allclose(pair.teacher[i, ..., 0], expected[i, label])
        logits = recorded['roi_head.mask_head'][0].output[i, label]
        assert torch.equal(pair.student[i, ..., 0], logits)
    assert pair.avg_factor.item() == len(rois) * 4 * 4
    loss = QualityFocalKDLoss()(
        pair.student, pair.teacher, avg_factor=pair.avg_factor)
    loss.backward()
    conv = models('mask')[0].roi_head.mask_head.conv_logits
    assert conv.weight.grad.abs().sum() > 0
    models('mask')[0].zero_grad()


def test_masks_that_tell_no_classes_are_read(tmp_path):
    cfg = mask_rcnn(class_agnostic=True)
    student, teacher = build(cfg), teacher_of(cfg, tmp_path / 't.pth')
    (pair, ), recorded, _ = pairs_in_training(
        RoIHeadOutputs('masks'), student, teacher)
    logits = recorded['roi_head.mask_head'][0].output
    assert torch.equal(pair.student[..., 0], logits[:, 0])


# -- nothing to compare, and precision -----------------------------------


@pytest.mark.parametrize('kind, output', [('faster', 'scores'),
                                          ('faster', 'boxes'),
                                          ('cascade', 'scores'),
                                          ('mask', 'masks')])
def test_without_proposals_the_loss_is_0_and_has_a_gradient(
        models, kind, output):
    student = models(kind)[0]
    # Nothing is as large as is asked for, and nothing is on the pictures.
    cfg = student.train_cfg.rpn_proposal
    kept, cfg.min_bbox_size = cfg.min_bbox_size, 1000
    try:
        pairs, _, _ = run(models, kind, output, boxes=0)
    finally:
        cfg.min_bbox_size = kept
    loss = dict(
        scores=KDLoss(), boxes=BoxKDLoss(), masks=QualityFocalKDLoss())[output]
    for pair in pairs:
        assert pair.student.shape[0] == 0 and pair.avg_factor.item() >= 1
        value = loss(pair.student, pair.teacher, pair.weight, pair.avg_factor)
        assert value.item() == 0
        value.backward()
    assert pairs
    assert output != 'scores' or pairs[0].target.shape == (0, )
    student.zero_grad()


def test_a_teacher_in_bfloat16_looks_at_the_rois_as_they_are(tmp_path):
    cfg = faster_rcnn()
    student = build(cfg)
    exact, coarse = (
        teacher_of(cfg, tmp_path / f'{precision}.pth', precision=precision)
        for precision in ('fp32', 'bf16'))
    pairs = []
    for teacher in (exact, coarse):
        torch.manual_seed(0)
        (pair, ), _, _ = pairs_in_training(RoIHeadOutputs(), student, teacher)
        pairs.append(pair)
    assert pairs[1].teacher.dtype == torch.bfloat16
    assert pairs[1].avg_factor.dtype == torch.float32
    difference = (pairs[0].teacher - pairs[1].teacher.float()).abs().max()
    assert 0 < difference < 0.02 * pairs[0].teacher.abs().max() + 0.02
    assert torch.isfinite(KDLoss()(
        pairs[1].student, pairs[1].teacher, avg_factor=pairs[1].avg_factor))


def test_the_names_tell_what_is_compared():
    assert [RoIHeadOutputs(o).name for o in ('scores', 'boxes', 'masks')
            ] == ['roi_cls', 'roi_box', 'roi_mask']
