# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmengine.config import Config

from mmw2s.pair.derive.schedule import counts_epochs, run_length, shorten


def test_all_points_of_the_learning_rate_move_by_one_factor():
    cfg = Config(
        dict(
            train_cfg=dict(max_epochs=13, val_interval=1),
            param_scheduler=[
                dict(type='LinearLR', by_epoch=False, begin=0, end=500),
                dict(type='MultiStepLR', end=13, milestones=[8, 11]),
                dict(type='CosineAnnealingLR', T_max=13, begin=1, end=13)
            ]))
    shorten(cfg, .5)
    assert counts_epochs(cfg) and run_length(cfg) == 6
    warmup, steps, cosine = cfg.param_scheduler
    assert (warmup.begin, warmup.end) == (0, 250)
    assert (steps.end, steps.milestones) == (6, [4, 5])
    assert (cosine.T_max, cosine.begin, cosine.end) == (6, 1, 6)


def test_a_run_by_iterations_is_validated_at_its_end_at_the_latest():
    cfg = Config(
        dict(
            train_cfg=dict(by_epoch=False, max_iters=100, val_interval=80),
            param_scheduler=None))
    shorten(cfg, .5)
    assert not counts_epochs(cfg)
    assert cfg.train_cfg == dict(by_epoch=False, max_iters=50, val_interval=50)


def test_a_run_without_a_length_is_refused():
    with pytest.raises(ValueError, match='max_epochs or max_iters, but has t'):
        run_length(Config(dict(train_cfg=dict(type='MyLoop'))))
