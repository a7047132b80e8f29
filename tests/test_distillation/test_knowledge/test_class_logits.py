# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import TinyModel, losses_of
from mmpretrain.models import ConformerHead
from mmpretrain.structures import DataSample
from tiny_classifiers import (CLASSES, DEIT, VIT, batch, build, classifier,
                              teacher_of)
from torch import nn

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.knowledge import ClassLogits
from mmw2s.distillation.terms import build_terms
from mmw2s.profiling.dry_run import noted_pairs
from mmw2s.registry import SCHEDULES

CONVNEXT = dict(
    type='ConvNeXt',
    stem_patch_size=2,
    arch=dict(depths=[1, 1, 1, 1], channels=[8, 8, 8, 16]))
TOKENS = dict(backbone=VIT, neck=None, in_channels=16)
HEADS = dict(
    linear=classifier(),
    stacked=classifier(type='StackedLinearClsHead', mid_channels=[8]),
    vit=classifier(type='VisionTransformerClsHead', **TOKENS),
    vit_hidden=classifier(
        type='VisionTransformerClsHead', hidden_dim=8, **TOKENS),
    deit=classifier(
        type='DeiTClsHead', backbone=DEIT, neck=None, in_channels=16),
    convnext=classifier(backbone=CONVNEXT, neck=None, in_channels=16),
    efficientformer=classifier(
        type='EfficientFormerClsHead', distillation=False),
    levit=classifier(type='LeViTClsHead', distillation=False),
    multi_label=classifier(type='MultiLabelLinearClsHead'),
    csra=dict(
        classifier(neck=None),
        head=dict(
            type='CSRAClsHead',
            num_classes=3,
            in_channels=32,
            num_heads=1,
            lam=0.1)))


@pytest.fixture
def distill(tmp_path):
    """One step of a student with a teacher; its pairs and its losses."""

    def step(student,
             teacher,
             loss=dict(type='KDLoss'),
             classes=None,
             samples=None,
             temperature=None,
             **knowledge):
        if isinstance(teacher, dict):
            teacher = teacher_of(teacher, tmp_path / 'teacher.pth')
        terms = build_terms([
            dict(
                knowledge=dict(type='ClassLogits', **knowledge),
                loss=loss,
                temperature=temperature)
        ])
        model = build(student).train()
        terms[0].knowledge.match_classes(teacher, classes)
        distiller = Distiller(model, teacher, terms,
                              SCHEDULES.build(dict(type='Constant', value=1.)))
        distiller.bind(100, 10)
        distiller.attach()
        distiller.step(0)
        inputs, plain = batch()
        with noted_pairs(distiller) as noted:
            _, losses = losses_of(model, inputs, samples or plain)
        distiller.remove()
        return noted['loss_kd_logits'][0].pair, losses, model, teacher

    return step


# -- heads ---------------------------------------------------------------


@pytest.mark.parametrize('kind', HEADS)
def test_logits_of_every_head_are_those_that_it_trains_and_predicts_with(
        distill, kind):
    multi_label = kind in ('multi_label', 'csra')
    pair, losses, model, teacher = distill(
        HEADS[kind], HEADS[kind],
        dict(type='QualityFocalKDLoss' if multi_label else 'KDLoss'))
    assert pair.student.shape == pair.teacher.shape == (4, 3)
    assert list(losses) == ['loss_kd_logits']
    # What the teacher predicts from: probabilities of these logits.
    predicted = teacher.model(*batch(), mode='predict')
    expected = pair.teacher.sigmoid() if multi_label else \
        pair.teacher.softmax(-1)
    torch.testing.assert_close(
        torch.stack([sample.pred_score for sample in predicted]), expected)
    losses['loss_kd_logits'].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0
               for p in model.head.parameters())
    assert all(p.grad is None for p in teacher.model.parameters())


def test_the_mean_of_a_distilled_teachers_two_heads_is_taken(distill):
    cfg = classifier(type='EfficientFormerClsHead', distillation=True)
    pair, _, _, teacher = distill(classifier(), cfg)
    head, (inputs, _) = teacher.model.head, batch()
    feats = teacher.model.extract_feat(inputs)[-1]
    torch.testing.assert_close(pair.teacher,
                               (head.head(feats) + head.dist_head(feats)) / 2)


def test_teachers_of_another_architecture_are_paired(distill):
    assert distill(HEADS['vit'], HEADS['linear'])[0].teacher.shape == (4, 3)


class TwoHeads(nn.Module):
    """Gives two scores, as Conformer's head does."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(32, 3), nn.Linear(32, 3)
        self.num_classes = 3

    def forward(self, feats):
        return self.first(feats[-1]), self.second(feats[-1])

    def loss(self, feats, data_samples):
        return dict(loss=sum(x.mean() for x in self(feats)))

    predict = forward


def test_an_unusual_head_is_refused_by_the_field_that_helps(distill):
    cfg = classifier()
    cfg['head'] = TwoHeads()
    with pytest.raises(
            ValueError,
            match="student's head gives a tuple, not logits .* by "
            r'ClassLogits\.module$'):
        distill(cfg, classifier())
    pair, *_ = distill(
        cfg, classifier(), module='head.first', teacher_module='head.fc')
    assert pair.name == 'head.first'


def test_of_a_head_with_two_branches_one_is_to_be_named():
    model = TinyModel()
    model.head = ConformerHead(3, [8, 8])
    with pytest.raises(
            ValueError,
            match='ConformerHead, which gives the logits of two branches.*'
            'ClassLogits.module, "head.conv_cls_head" or "head.trans'):
        ClassLogits().check(model, model)
    with pytest.raises(ValueError, match="the teacher's head .*teacher_mod"):
        ClassLogits('head.conv_cls_head', 'head').check(model, model)
    ClassLogits('head.trans_cls_head').check(model, model)


def test_a_retriever_whose_prediction_has_no_head_is_refused():
    model = build(
        dict(
            type='ImageToImageRetriever',
            image_encoder=[
                dict(type='ResNet_CIFAR', depth=18, base_channels=4),
                dict(type='GlobalAveragePooling')
            ],
            head=dict(type='ArcFaceClsHead', num_classes=3, in_channels=32),
            prototype=torch.zeros(2, 32)))
    with pytest.raises(
            ValueError,
            match='ImageToImageRetriever, which compares .*does not call its '
            'head.*FPNFeatures, module="image_encoder"'):
        ClassLogits().check(model, model)


def test_a_model_without_that_module_is_told_the_field(distill):
    with pytest.raises(
            ValueError,
            match='student .* no module "haed"; there are: head.* '
            r'ClassLogits\.module and teacher_module'):
        distill(classifier(), classifier(), module='haed')


def test_softmax_and_multi_label_heads_are_not_mixed(distill):
    with pytest.raises(ValueError, match='teacher head has sigmoid'):
        distill(HEADS['linear'], HEADS['multi_label'])


SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)


@pytest.mark.parametrize('head, loss, instead', [
    ('multi_label', 'KDLoss', 'QualityFocalKDLoss'),
    ('csra', 'DISTLoss', 'QualityFocalKDLoss'),
    ('multi_label', 'DKDLoss', 'QualityFocalKDLoss'),
    ('linear', 'QualityFocalKDLoss', 'KDLoss'),
    ('smoothed', 'QualityFocalKDLoss', 'KDLoss'),
    ('arcface', 'PKDLoss', 'KDLoss'),
])
def test_a_loss_of_other_scores_is_refused_before_training(
        distill, head, loss, instead):
    heads = dict(
        HEADS,
        smoothed=classifier(
            loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)),
        arcface=classifier(type='ArcFaceClsHead'))
    with pytest.raises(
            ValueError,
            match=f'logits: {loss} compares .*, but ClassLogits gives .* '
            f'scores: use a loss for those, such as {instead}$'):
        distill(heads[head], heads[head], dict(type=loss))


@pytest.mark.parametrize('loss', ['KDLoss', 'QualityFocalKDLoss', 'MSEKDLoss'])
@pytest.mark.parametrize('cfg, knowledge', [
    (classifier(loss=SIGMOID), {}),
    (classifier(loss=dict(type='FocalLoss')), {}),
    (classifier(), dict(module='head.fc')),
])
def test_scores_that_may_be_of_either_kind_take_any_loss(
        distill, loss, cfg, knowledge):
    samples = [
        DataSample().set_gt_label(i).set_gt_score(torch.eye(3)[i])
        for i in range(3)
    ]
    samples.append(samples[0])
    distill(cfg, cfg, dict(type=loss), samples=samples, **knowledge)


@pytest.mark.parametrize('head', ['LinearClsHead', 'ArcFaceClsHead'])
def test_equal_models_have_nothing_to_tell_each_other(tmp_path, head):
    cfg = classifier(type=head)
    teacher = teacher_of(cfg, tmp_path / 'teacher.pth')
    student = build(cfg).eval()  # statistics as the teacher's
    student.training = True
    student.load_state_dict(teacher.model.state_dict())
    terms = build_terms(
        [dict(knowledge=dict(type='ClassLogits'), loss=dict(type='KDLoss'))])
    distiller = Distiller(student, teacher, terms,
                          SCHEDULES.build(dict(type='Constant', value=1.)))
    distiller.bind(100, 10)
    distiller.attach()
    distiller.step(0)
    loss = student(*batch(), mode='loss')['loss_kd_logits']
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_gradients_flow_through_the_logits_without_a_margin(distill):
    cfg = classifier(type='ArcFaceClsHead')
    pair, losses, model, _ = distill(cfg, cfg)
    losses['loss_kd_logits'].backward()
    for part in (model.backbone, model.head):
        assert any(p.grad is not None and p.grad.abs().sum() > 0
                   for p in part.parameters())
    inputs, _ = batch()
    model.eval()
    assert pair.student.shape == model(inputs).shape


def test_a_head_of_several_tasks_is_refused(distill):
    cfg = classifier()
    cfg['head'] = dict(
        type='MultiTaskHead',
        in_channels=32,
        task_heads=dict(a=dict(type='LinearClsHead', num_classes=3)))
    for module in ('head', 'head.task_heads.a'):
        with pytest.raises(
                ValueError,
                match=f"student's {module} is of a MultiTaskHead, .* "
                'HiddenFeatures'):
            distill(cfg, classifier(), module=module, teacher_module='head')


# -- classes -------------------------------------------------------------


def test_another_number_of_classes_is_refused(distill):
    with pytest.raises(
            ValueError, match="has 5 classes, the student's 3: logits are "):
        distill(classifier(), classifier(num_classes=5))


def test_a_number_that_no_head_tells_is_compared_on_the_first_batch(distill):
    other = dict(HEADS['csra'], head=dict(HEADS['csra']['head']))
    other['head']['num_classes'] = 5
    with pytest.raises(ValueError, match="has 5 classes, the student's 3"):
        distill(HEADS['csra'], other, dict(type='QualityFocalKDLoss'))


def test_a_teacher_of_more_classes_is_matched_by_their_names(
        distill, tmp_path):
    names = ('ant', 'elk', 'cat', 'fox', 'dog')
    cfg = classifier(num_classes=5)
    plain = teacher_of(cfg, tmp_path / 'a.pth', names)
    teacher = teacher_of(cfg, tmp_path / 'a.pth', names)
    pair, *_ = distill(classifier(), teacher, classes=CLASSES)
    inputs, samples = batch()
    full = plain.model(inputs, mode='tensor')
    assert torch.equal(pair.teacher, full[:, [2, 4, 1]])
    assert teacher.classes == CLASSES
    # So it is scored as a classifier of the student's classes.
    predicted = teacher.model(inputs, samples, mode='predict')
    assert all(sample.num_classes == 3 for sample in predicted)


def test_the_same_classes_in_another_order_are_matched_too(distill, tmp_path):
    teacher = teacher_of(classifier(), tmp_path / 'a.pth', CLASSES[::-1])
    pair, *_ = distill(classifier(), teacher, classes=list(CLASSES))
    full = teacher_of(classifier(), tmp_path / 'a.pth').model(batch()[0])
    assert torch.equal(pair.teacher, full.flip(1))


def test_the_losses_of_a_matched_teacher_are_of_the_students_labels(tmp_path):
    names = ('ant', 'elk', 'cat', 'fox', 'dog')
    cfg = classifier(type='ArcFaceClsHead', num_classes=5)
    plain = teacher_of(cfg, tmp_path / 'a.pth', names)
    teacher = teacher_of(cfg, tmp_path / 'a.pth', names)
    ClassLogits().match_classes(teacher, CLASSES)
    feats = plain.model.extract_feat(batch()[0])
    columns = torch.tensor([2, 4, 1])
    labels = torch.tensor([0, 1, 2, 0])
    assert torch.equal(
        teacher.model.head(feats, labels),
        plain.model.head(feats, columns[labels])[:, columns])


@pytest.mark.parametrize('names', [CLASSES, None, ('ant', 'elk', 'cat')])
def test_a_teacher_that_does_not_know_all_of_them_is_left_alone(
        tmp_path, names):
    teacher = teacher_of(classifier(), tmp_path / 'a.pth', names)
    ClassLogits().match_classes(teacher, CLASSES)
    assert not teacher.model.head._forward_hooks
    assert teacher.classes == names
    ClassLogits().match_classes(teacher, None)


# -- labels --------------------------------------------------------------


def test_labels_go_with_the_pair_as_indices(distill):
    pair, losses, *_ = distill(
        classifier(), classifier(), loss=dict(type='DKDLoss'))
    assert pair.target.tolist() == [0, 1, 2, 0]
    assert losses['loss_kd_logits'] > 0


def test_soft_labels_are_preferred_as_the_heads_own_loss_does(distill):
    scores = torch.rand(4, 3).softmax(-1)
    samples = [
        DataSample().set_gt_label(0).set_gt_score(score) for score in scores
    ]
    pair, losses, *_ = distill(
        classifier(), classifier(), dict(type='PLDLoss'), samples=samples)
    assert torch.equal(pair.target, scores)
    assert losses['loss_kd_logits'] > 0


def test_several_labels_a_sample_are_no_target(distill):
    heads = [HEADS['multi_label']] * 2
    samples = [DataSample().set_gt_label([0, 2]) for _ in range(4)]
    loss = dict(type='QualityFocalKDLoss')
    assert distill(*heads, loss, samples=samples)[0].target is None
    with pytest.raises(
            ValueError,
            match='logits: DynamicTemperature needs labels, but ClassLogits '
            'gives none'):
        distill(*heads, loss, temperature=dict(type='DynamicTemperature'))


# -- label smoothing -----------------------------------------------------


@pytest.mark.parametrize('loss, warned', [
    (dict(type='KDLoss'), True),
    (dict(type='KDLoss', temperature=4.), True),
    (dict(type='KDLoss', temperature=1.), False),
    (dict(type='PLDLoss'), False),
])
def test_a_smoothed_teacher_at_a_high_temperature_is_warned_about(
        distill, capsys, loss, warned):
    smoothed = classifier(
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1))
    distill(classifier(), smoothed, loss)
    assert ('label smoothing (0.1)' in capsys.readouterr().out) is warned


def test_the_loss_is_found_where_logits_are_taken_from_a_layer(
        distill, capsys):
    smoothed = classifier(
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.2))
    distill(classifier(), smoothed, module='head.fc')
    assert 'label smoothing (0.2)' in capsys.readouterr().out


def test_a_plain_teacher_is_not_warned_about(distill, capsys):
    smoothed = classifier(
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1))
    distill(smoothed, classifier())
    assert 'smoothing' not in capsys.readouterr().out


# -- hidden features -----------------------------------------------------
