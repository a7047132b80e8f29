# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The hook with activations that are recomputed, frozen or compiled."""
import copy

import pytest
import tiny_classifiers
import torch
from builders import save
from entries import CLS, FPN
from mmengine.registry import MODELS
from runs import find, hooks_on, losses, train_watched
from toys import retinanet
from works_with import distilling

from mmw2s.engine import WeakTeacherDistillHook


def test_recomputed_activations_change_no_loss_and_are_not_noted(
        pictures, teacher, tmp_path):
    entries = [
        FPN, CLS,
        dict(
            knowledge=dict(
                type='HiddenFeatures', module='backbone.layer3', levels=[0]),
            loss=dict(type='PKDLoss'))
    ]
    recomputing = retinanet(50, norm_eval=True)
    recomputing['backbone']['with_cp'] = True

    def look(runner, outputs):
        # Whatever the backward pass computed again would be in here.
        distiller = find(runner, WeakTeacherDistillHook).distiller
        assert distiller._recorder._calls is None
        return losses(runner, outputs)

    runs = [
        train_watched(
            distilling(
                pictures, tmp_path, teacher, w2s=dict(distill=entries), **ov),
            look)[1] for ov in
        (dict(), dict(model=recomputing),
         dict(activation_checkpointing=['backbone.layer2', 'backbone.layer3']))
    ]
    assert 'loss_kd_hidden' in runs[0][0]
    for run in runs[1:]:
        for step, expected in zip(run, runs[0]):
            assert step == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('module, model, overrides', [
    ('neck', {}, dict(activation_checkpointing=['neck'])),
    ('backbone.layer2.0.conv2', dict(with_cp=True), {}),
    ('backbone.layer1', dict(frozen_stages=1), {}),
])
def test_maps_that_no_gradient_goes_through_are_refused(
        pictures, teacher, tmp_path, module, model, overrides):
    student = retinanet(50, norm_eval=True)
    student['backbone'].update(model)
    entry = dict(
        FPN, knowledge=dict(type='FPNFeatures', module=module), name='maps')
    if 'conv2' in module:
        entry['knowledge']['teacher_module'] = 'backbone.layer2'
    cfg = distilling(
        pictures,
        tmp_path,
        teacher,
        model=student,
        w2s=dict(distill=[entry]),
        **overrides)
    with pytest.raises(
            ValueError, match=f'no gradient .* loss_kd_maps: .*{module}'):
        train_watched(cfg)


@MODELS.register_module()
class TwoConvs(torch.nn.Module):
    """A backbone that is compiled in no time."""

    def __init__(self, width):
        super().__init__()
        self.first = torch.nn.Conv2d(3, width, 3, stride=2)
        self.second = torch.nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x):
        return self.second(self.first(x).relu()),


def test_a_compiled_student_has_the_losses_of_an_eager_one_and_their_stop(
        tmp_path):
    weak, student = (
        tiny_classifiers.classifier(
            backbone=dict(type='TwoConvs', width=width), in_channels=width)
        for width in (4, 8))
    checkpoint = save(tiny_classifiers.build(weak, 1), tmp_path / 'weak.pth')
    hook = dict(
        type='WeakTeacherDistillHook',
        teacher=dict(
            config=dict(default_scope='mmpretrain', model=weak),
            checkpoint=checkpoint),
        distill=[
            dict(
                knowledge=dict(type='HiddenFeatures', module='backbone.first'),
                loss=dict(type='PKDLoss')),
            dict(
                # A layer, which does not tell of which kind its scores are.
                knowledge=dict(type='ClassLogits', module='head.fc'),
                # Its forward is a loop that no compiler unrolls.
                loss=dict(type='QualityFocalKDLoss'))
        ],
        schedule=dict(type='Constant', value=1.),
        stop=dict(type='At', iter=2))
    runs = []
    for compiled in (None, dict(backend='eager')):
        cfg = tiny_classifiers.run_config(
            tmp_path, epochs=1, hooks=[hook], model=copy.deepcopy(student))
        for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
            cfg.pop(key)
        cfg.default_hooks.checkpoint, cfg.compile = None, compiled
        runner, seen = train_watched(cfg)
        runs.append(seen)
        assert hooks_on(runner.model) == 0
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] > 0
    torch._dynamo.reset()
    assert ['loss_kd_hidden' in step for step in runs[1]] == [True] * 2 + \
        [False] * 2
    for step, expected in zip(*runs):
        assert step == pytest.approx(expected, rel=1e-3)
