# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import os.path as osp
from glob import glob

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import METRICS

from mmw2s.engine.hooks import StopWhenUsefulHook, TimeToTargetHook

CURVE = [.1, .2, .3, .301, .302, .303, .5, .6]


@METRICS.register_module()
class Curve(BaseMetric):
    """Scores that a test has written down, one for each iteration."""

    at = 0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(acc=CURVE[Curve.at // 4 - 1])


class Point(Hook):
    """Tells the metric where the run stands."""

    def before_val(self, runner):
        Curve.at = runner.iter


class Cut(Exception):
    """Stands for a kill."""


class CutAt(Hook):

    def __init__(self, stage, iteration, priority):
        self.priority = priority

        def cut(runner, *_, **__):
            if runner.iter == iteration:
                raise Cut

        setattr(self, stage, cut)


@pytest.fixture
def train(toy):
    """Trains for at most 8 epochs of 4 iterations; the runner."""
    cfg = toy.epoch_based_cfg
    cfg.train_cfg.max_epochs = 8
    cfg.val_evaluator = dict(type='Curve')
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)

    def run(*others, resume=False, interval=1, timed=True, **fields):
        cfg.resume = resume
        cfg.default_hooks.checkpoint.interval = interval
        runner = toy.build_runner(cfg)
        hooks = [Point(), StopWhenUsefulHook(**fields), *others]
        for hook in [TimeToTargetHook()] * timed + hooks:
            runner.register_hook(hook)
        try:
            runner.train()
        except Cut:
            pass
        return runner

    return run


def record(runner):
    with open(osp.join(runner.work_dir, 'time_to_target.json')) as file:
        return json.load(file)


def test_a_useful_teacher_is_trained_no_further(train):
    runner = train(student_best=.33, share=.85)
    assert runner.iter == 12  # 0.3 is 91 % of 0.33, and 0.2 is 61 %
    found = record(runner)
    assert found['finished'] and len(found['history']) == 3


def test_a_flat_curve_ends_it_if_the_best_is_not_known(train):
    assert train().iter == 24  # 0.303 is 1 % above 0.3


def test_a_curve_that_may_be_flat_goes_on_to_the_end(train):
    assert train(min_gain=0).iter == 32


@pytest.mark.parametrize('interval', [1, 5, 1000])
def test_it_leaves_a_checkpoint_to_teach_and_to_go_on_from(train, interval):
    runner = train(student_best=.33, interval=interval)
    with open(osp.join(runner.work_dir, 'last_checkpoint')) as file:
        saved = torch.load(file.read(), weights_only=False)
    assert saved['meta']['iter'] == 12 and 'optimizer' in saved
    named = [osp.basename(p) for p in glob(osp.join(runner.work_dir, '*.pth'))]
    assert ('useful_iter_12.pth' in named) == (interval != 1)


@pytest.mark.parametrize('stage, priority', [('before_val', 'HIGHEST'),
                                             ('after_val', 'HIGHEST'),
                                             ('after_train', 'HIGHEST')])
def test_one_that_was_cut_ends_where_the_unbroken_one_does(
        train, stage, priority):
    train(CutAt(stage, 12, priority), student_best=.33)
    resumed = train(resume=True, student_best=.33)
    assert resumed.iter == 12
    found = record(resumed)
    assert found['finished'] and len(found['history']) == 3


def test_a_flat_curve_is_seen_across_a_cut(train):
    train(CutAt('before_train_iter', 18, 'HIGHEST'))
    assert train(resume=True).iter == 24


def test_without_a_record_of_validations_it_is_refused(train):
    with pytest.raises(ValueError, match='has no TimeToTargetHook: add'):
        train(timed=False)


@pytest.mark.parametrize('fields, message', [
    (dict(student_best=0), 'student_best should be a finite number > 0'),
    (dict(share=-1), 'share should be a finite number > 0'),
    (dict(patience=0), 'patience should be an integer >= 1'),
    (dict(min_gain=2), 'min_gain should be a finite number >= 0 and < 1'),
    (dict(rule='more'), 'rule should be one of'),
])
def test_a_wrong_field_is_refused(fields, message):
    with pytest.raises(ValueError, match=f'StopWhenUsefulHook.{message}'):
        StopWhenUsefulHook(**fields)


def test_a_misspelled_field_is_refused_with_the_nearest():
    with pytest.raises(TypeError, match='did you mean "patience"'):
        StopWhenUsefulHook(patiance=3)


def test_of_an_error_less_is_better():
    hook = StopWhenUsefulHook(student_best=.1, share=.5)
    rows = [dict(metrics={'diffusion/denoising_mse': s}) for s in (.4, .19)]
    assert hook.why_enough(rows[:1]) is None
    assert '53% as good' in hook.why_enough(rows)
