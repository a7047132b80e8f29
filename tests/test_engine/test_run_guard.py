# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
import os
import signal
from types import SimpleNamespace

import mmengine
import pytest
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import EpochBasedTrainLoop

from mmw2s.engine.hooks import TimeToTargetHook
from mmw2s.engine.run_guard import (RunGuardHook, batches_trained, guard,
                                    note_batches_trained, refuse_other_epochs)
from mmw2s.records.lock import hold


class Trace(Hook):
    """Notes which batches were trained on."""

    def __init__(self, save_at=None):
        self.save_at, self.trained, self.indices = save_at, [], []

    def after_train_iter(self,
                         runner,
                         batch_idx,
                         data_batch=None,
                         outputs=None):
        self.trained.append((runner.epoch, batch_idx, runner.iter))
        if runner.iter + 1 == self.save_at:
            note_batches_trained(runner, batch_idx + 1)
            runner.save_checkpoint(
                runner.work_dir,
                'mid.pth',
                meta=dict(epoch=runner.epoch, iter=runner.iter + 1))
            raise KeyboardInterrupt


def train(toy, cfg, *hooks):
    runner = toy.build_runner(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    try:
        runner.train()
    except KeyboardInterrupt:
        pass
    return runner


def test_both_hooks_share_one_guard(toy):
    runner = toy.build_runner(toy.epoch_based_cfg)
    for _ in range(2):
        guard(runner)
    assert sum(isinstance(h, RunGuardHook) for h in runner.hooks) == 1


def test_a_work_dir_in_use_is_refused_before_anything_is_renamed(toy):
    cfg = toy.epoch_based_cfg
    train(toy, cfg, TimeToTargetHook())
    before = os.listdir(cfg.work_dir)
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        hold(cfg.work_dir)
        os.write(told, b'1')
        signal.pause()
    os.read(ready, 1)
    try:
        with pytest.raises(RuntimeError, match=f'another run .process {pid}'):
            train(toy, cfg, TimeToTargetHook())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not [n for n in os.listdir(cfg.work_dir) if '.1.' in n]
    assert set(before) <= set(os.listdir(cfg.work_dir))
    train(toy, cfg, TimeToTargetHook())  # and then it is free


def test_an_epoch_that_was_left_in_its_middle_is_gone_on_with(toy):
    cfg = toy.epoch_based_cfg
    whole, first, rest = Trace(), Trace(save_at=6), Trace()
    train(toy, cfg, whole)
    train(toy, cfg, first)
    cfg.resume, cfg.load_from = True, os.path.join(cfg.work_dir, 'mid.pth')
    runner = train(toy, cfg, rest, RunGuardHook())
    assert first.trained + rest.trained == whole.trained
    assert len(first.trained) == 6
    assert batches_trained(runner) == 0


def test_an_epoch_of_another_length_cannot_be_gone_on_with(toy):
    cfg = toy.epoch_based_cfg
    train(toy, cfg, Trace(save_at=6))
    cfg.resume, cfg.load_from = True, os.path.join(cfg.work_dir, 'mid.pth')
    cfg.train_dataloader.batch_size = 2
    with pytest.raises(ValueError, match='2 of the 4 batches of epoch 2'):
        train(toy, cfg, RunGuardHook())


def test_a_resumed_run_that_begins_its_data_anew_is_told(toy, monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger, 'callHandlers',
                        lambda self, record: said.append(record))
    cfg = toy.iter_based_cfg
    runner = train(toy, cfg)
    assert not [r for r in said if 'anew' in r.getMessage()]
    cfg.resume, cfg.load_from = True, os.path.join(cfg.work_dir, 'mid.pth')
    runner.save_checkpoint(cfg.work_dir, 'mid.pth', meta=dict(epoch=0, iter=4))

    class Set(Hook):
        # Not all versions of MMEngine know it.
        def before_run(self, runner):
            runner.train_loop.fast_forward_on_resume = True

    train(toy, cfg, Set(), RunGuardHook())
    (record, ) = [r for r in said if 'data anew' in r.getMessage()]
    assert record.levelno == logging.WARNING
    assert mmengine.__version__ in record.getMessage()


def test_epochs_of_another_length_are_told_of(toy, capsys):
    cfg = toy.epoch_based_cfg
    train(toy, cfg, TimeToTargetHook())
    assert 'but an epoch has' not in capsys.readouterr().out
    cfg.resume, cfg.train_cfg.max_epochs = True, 4
    cfg.train_dataloader.batch_size = 2
    train(toy, cfg, TimeToTargetHook())
    assert 'has done 8 iterations by the end of epoch 2, but an epoch has 6' \
        in capsys.readouterr().out


@pytest.mark.parametrize('epoch,iter,fits', [(2, 8, True), (2, 11, True),
                                             (2, 12, False), (2, 4, False),
                                             (0, 3, True)])
def test_the_distillation_goes_on_with_epochs_of_the_same_length_alone(
        epoch, iter, fits):
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    loop._epoch, loop._iter, loop.dataloader = epoch, iter, [None] * 4
    runner = SimpleNamespace(train_loop=loop)
    if fits:
        refuse_other_epochs(runner)
        return
    with pytest.raises(ValueError, match=f'{iter} iterations by the end of'):
        refuse_other_epochs(runner)
