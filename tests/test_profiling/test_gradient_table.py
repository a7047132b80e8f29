# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmengine.config import Config
from tiny_classifiers import classifier
from toys import retinanet

from mmw2s.profiling import measure, table


def config(model, scope):
    return Config(dict(model=model, default_scope=scope))


def test_shares_of_a_detector_follow_from_the_seed_and_the_weight():
    cfg = config(retinanet(18), 'mmdet')
    found = measure(cfg, iters=1, size=64)
    assert list(found) == ['loss_kd_fpn', 'loss_kd_cls']
    row = found['loss_kd_fpn']
    assert row['weight'] == 10 and row['by'] == 'gradient'
    assert row == measure(cfg, iters=1, size=64)['loss_kd_fpn']
    half = dict(
        knowledge=dict(type='FPNFeatures'),
        loss=dict(type='PKDLoss', loss_weight=5.))
    other = measure(cfg, distill=[half], iters=1, size=64)['loss_kd_fpn']
    assert other['shares'][0] == pytest.approx(row['shares'][0] / 2, rel=1e-3)


def test_a_classifier_is_measured_too():
    row = measure(
        config(classifier(), 'mmpretrain'), size=32)['loss_kd_logits']
    assert len(row['shares']) == 5 and min(row['shares']) > 0


def test_what_cannot_be_measured_is_a_line_of_the_table(monkeypatch):

    def refuse(*_, **__):
        raise TypeError('nothing\nknown')

    monkeypatch.setattr('mmw2s.profiling.gradient_table.measure', refuse)
    *_, line = table(['mmdet::a/b.py'])
    assert line == '| b | - | - | - | TypeError: nothing known |'
