# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.engine.run_facts import (describe_run, evaluator_names,
                                    smallest_batch)


def facts_of(toy, cfg) -> dict:
    cfg.randomness = dict(seed=3)
    cfg.train_dataloader.batch_size = 5
    runner = toy.build_runner(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    return describe_run(runner)


def test_epochs_of_whole_batches(toy):
    facts = facts_of(toy, toy.epoch_based_cfg)
    assert facts['iters_per_epoch'] == 3  # of 12 images
    assert facts['max_iters'] == 3 * facts['max_epochs']


def test_an_epoch_of_iterations_may_end_inside_a_batch(toy):
    facts = facts_of(toy, toy.iter_based_cfg)
    assert facts['iters_per_epoch'] == pytest.approx(12 / 5)
    assert facts['max_epochs'] is None


def test_what_times_depend_on_is_told(toy, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '5')
    facts = facts_of(toy, toy.epoch_based_cfg)
    assert facts['seed'] == 3 and facts['batch_size_per_device'] == 5
    assert facts['world_size'] == len(facts['devices']) == 1
    assert facts['omp_num_threads'] == '5'
    assert facts['versions']['mmengine']


def test_precision_is_the_wrapper_and_what_it_casts_to(toy, monkeypatch):
    cfg = toy.epoch_based_cfg
    assert facts_of(toy, cfg)['precision'] == 'OptimWrapper'
    cfg.optim_wrapper.type = 'BF16OptimWrapper'
    assert facts_of(toy,
                    cfg)['precision'] == 'BF16OptimWrapper, torch.bfloat16'
    monkeypatch.setattr('mmw2s.engine.optim_wrapper.emulates_bfloat16',
                        lambda: True)
    assert facts_of(toy, cfg)['precision'] == 'BF16OptimWrapper, torch.float32'


def test_all_packages_that_a_model_may_come_from_are_named(toy):
    versions = facts_of(toy, toy.epoch_based_cfg)['versions']
    assert {'mmdet', 'mmpretrain', 'diffusers', 'torchvision'} <= set(versions)


def test_the_evaluator_is_named(toy):
    runner = toy.build_runner(toy.epoch_based_cfg)
    assert evaluator_names(runner) == []
    runner.val_loop
    kind = type(runner.val_loop.evaluator.metrics[0])
    assert evaluator_names(runner) == \
        [f'{kind.__module__.split(".")[0]}.{kind.__name__}']


@pytest.mark.parametrize('batch_size, drop_last, smallest', [(5, False, 2),
                                                             (5, True, 5),
                                                             (4, False, 4)])
def test_the_last_batch_of_an_epoch_may_be_the_smallest(
        toy, batch_size, drop_last, smallest):
    cfg = toy.epoch_based_cfg  # of 12 images
    cfg.train_dataloader.update(batch_size=batch_size, drop_last=drop_last)
    runner = toy.build_runner(cfg)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    assert smallest_batch(runner) == smallest
