# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from tiny_classifiers import batch, build, classifier, teacher_of

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.knowledge import ClassMaps
from mmw2s.distillation.recorder import Call
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms

ENTRY = dict(
    knowledge=dict(type='ClassMaps'),
    loss=dict(type='CosineKDLoss', vectors='locations', loss_weight=2.))


def test_the_loss_is_that_of_cat_kd(tmp_path):
    student = build(classifier(8)).train()
    teacher = teacher_of(classifier(4), tmp_path / 't.pth')
    distiller = Distiller(student, teacher, build_terms([ENTRY]), Constant(1.))
    distiller.bind(10, 5)
    distiller.attach()
    distiller.step(0)
    maps = {}
    for name, model in (('s', student), ('t', teacher.model)):
        model.backbone.register_forward_hook(
            lambda module, args, out, name=name: maps.update({name: out[-1]}),
            prepend=True)
    found = student(*batch(size=32), mode='loss')['loss_kd_class_maps']
    unit = {}
    for name, model in (('s', student), ('t', teacher.model)):
        x = maps[name].detach().double().numpy()  # (4, C, 4, 4)
        weight = model.head.fc.weight.detach().double().numpy()
        cams = np.einsum('kc,bchw->bkhw', weight, x)
        pooled = cams.reshape(4, 3, 2, 2, 2, 2).mean((3, 5)).reshape(4, 3, 4)
        unit[name] = pooled / np.linalg.norm(pooled, axis=-1, keepdims=True)
    want = ((unit['s'] - unit['t'])**2).sum(-1).mean()
    np.testing.assert_allclose(found.item(), want, rtol=1e-3)
    found.backward()
    assert student.head.fc.weight.grad.abs().sum() > 0
    assert teacher.model.head.fc.weight.grad is None


def test_other_classes_are_refused():
    with pytest.raises(
            ValueError, match='teacher head has 5 classes, the '
            'student\'s 3'):
        ClassMaps().check(
            build(classifier()), build(classifier(num_classes=5)))


def test_a_layer_that_is_not_linear_is_refused():
    student = build(classifier())
    with pytest.raises(
            ValueError,
            match='head is a LinearClsHead, but '
            'ClassMaps needs the linear layer'):
        ClassMaps(layer='head').check(student, student)


def test_maps_of_other_channels_than_the_layers_are_refused():
    knowledge = ClassMaps()
    model = build(classifier())
    knowledge.bind(model, model)
    call = Call((), (torch.zeros(2, 7, 4, 4), ))
    with pytest.raises(
            ValueError,
            match='7 channels, but the layer of the '
            'logits is for 32'):
        knowledge.pairs(dict(backbone=[call]), dict(backbone=[call]))
