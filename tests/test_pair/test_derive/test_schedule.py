# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmengine.config import Config

from mmw2s.pair.derive.schedule import (count_validations, counts_epochs,
                                        run_length, scale_lr, shorten,
                                        val_interval)


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


def test_a_run_by_iterations_that_names_no_interval_has_mmengines():
    cfg = Config(dict(train_cfg=dict(by_epoch=False, max_iters=5000)))
    assert val_interval(cfg) == 1000
    shorten(cfg, .5)
    assert cfg.train_cfg.val_interval == 1000
    shorten(cfg, .1)
    assert cfg.train_cfg.val_interval == 250


def test_the_first_validation_moves_too():
    cfg = Config(dict(train_cfg=dict(max_epochs=12, val_begin=9)))
    shorten(cfg, .5)
    assert cfg.train_cfg.val_begin == 4


def test_what_hooks_do_at_a_point_of_the_run_moves_too():
    # RTMDet's: without it the last epochs, of plain images, never come.
    cfg = Config(
        dict(
            train_cfg=dict(
                max_epochs=300, val_interval=10, dynamic_intervals=[(280, 1)]),
            default_hooks=dict(logger=None, checkpoint=dict(interval=10)),
            custom_hooks=[
                dict(type='PipelineSwitchHook', switch_epoch=280),
                dict(type='YOLOXModeSwitchHook', num_last_epochs=15),
                dict(type='EMAHook', begin_iter=100, update_buffers=True),
                dict(
                    type='SwitchRecipeHook',
                    schedule=[dict(action_epoch=200),
                              dict(action_epoch=250)])
            ]))
    shorten(cfg, .5)
    switch, mode, ema, recipe = cfg.custom_hooks
    assert cfg.train_cfg.dynamic_intervals == [(140, 1)]
    assert (switch.switch_epoch, mode.num_last_epochs) == (140, 7)
    assert (ema.begin_iter, ema.update_buffers) == (50, True)
    assert [part.action_epoch for part in recipe.schedule] == [100, 125]
    assert cfg.default_hooks.checkpoint.interval == 10


def test_a_scheduler_of_which_nothing_is_left_is_dropped():
    # MMEngine: "end should be larger than begin".
    cfg = Config(
        dict(
            train_cfg=dict(max_epochs=2),
            param_scheduler=[
                dict(type='LinearLR', begin=0, end=1),
                dict(type='CosineAnnealingLR', T_max=1, begin=1, end=2)
            ]))
    shorten(cfg, .5)
    assert [s.type for s in cfg.param_scheduler] == ['LinearLR']


@pytest.mark.parametrize('train_cfg, count', [
    (dict(max_epochs=12), 12),
    (dict(max_epochs=12, val_interval=5), 3),
    (dict(max_epochs=3, val_interval=5), 1),
    (dict(max_epochs=12, val_interval=3, val_begin=4), 3),
    (dict(max_epochs=4, val_begin=5), 0),
    (dict(max_iters=100, val_interval=80), 2),
    (dict(max_iters=2500), 3),
])
def test_validations_are_counted_as_mmengine_runs_them(train_cfg, count):
    assert count_validations(Config(dict(train_cfg=train_cfg))) == count


def test_a_run_without_a_length_is_refused():
    with pytest.raises(ValueError, match='max_epochs or max_iters, but has t'):
        run_length(Config(dict(train_cfg=dict(type='MyLoop'))))


def test_a_learning_rate_is_multiplied_with_its_bounds():
    cfg = Config(
        dict(
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1, momentum=.9)),
            param_scheduler=[
                dict(type='LinearLR', start_factor=.1, end=5),
                dict(type='mmengine.CosineAnnealingLR', eta_min=1e-3),
                dict(type='OneCycleLR', eta_max=.2, total_steps=9),
                dict(type='CosineAnnealingMomentum', eta_min=.8),
            ]))
    scale_lr(cfg, .5)
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=.05, momentum=.9)
    warmup, cosine, cycle, momentum = cfg.param_scheduler
    assert warmup.start_factor == .1
    assert (cosine.eta_min, cycle.eta_max, momentum.eta_min) == (5e-4, .1, .8)


@pytest.mark.parametrize('optim_wrapper', [
    dict(optimizer=dict(type='Adafactor', lr=None)),
    dict(type='OptimWrapperDict', g=dict(optimizer=dict(lr=.1))),
])
def test_a_run_without_one_learning_rate_is_refused(optim_wrapper):
    with pytest.raises(ValueError, match='lr should be a number.*None'):
        scale_lr(Config(dict(optim_wrapper=optim_wrapper)), .5)
