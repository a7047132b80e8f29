# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import multiprocessing
import os
import os.path as osp
import signal

import pytest
import runs
import torch
from mmengine.hooks import Hook
from ranks import run_ranks

from mmw2s.engine.hooks import StopOnSignalHook
from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded, end_at_once


class SendAt(Hook):
    priority = 'HIGHEST'

    def __init__(self, stage, iteration, number=signal.SIGTERM):

        def send(runner, *_, **__):
            if runner.iter == iteration:
                os.kill(os.getpid(), number)

        setattr(self, stage, send)


@pytest.fixture
def toy(toy):
    for cfg in (toy.epoch_based_cfg, toy.iter_based_cfg):
        cfg.randomness = dict(seed=0)
    toy.epoch_based_cfg.train_cfg.max_epochs = 3
    toy.iter_based_cfg.train_cfg.val_interval = 3
    return toy


def train(cfg, *hooks, resume=False, **fields):
    cfg = cfg.copy()
    cfg.resume = resume
    return runs.train(cfg, StopOnSignalHook(**fields), *hooks)


@pytest.mark.parametrize('loop, stage, iteration, ends_after', [
    ('epoch', 'before_train_iter', 0, 1),
    ('epoch', 'after_train_iter', 5, 6),
    ('epoch', 'after_train_iter', 3, 4),
    ('epoch', 'before_val', 8, 8),
    ('epoch', 'after_val_epoch', 8, 9),
    ('iter', 'before_train_iter', 0, 1),
    ('iter', 'after_train_iter', 4, 5),
    ('iter', 'before_val', 6, 6),
])
def test_the_step_is_finished_and_the_run_resumed_ends_as_the_unbroken_one(
        toy, loop, stage, iteration, ends_after):
    cfg = toy.epoch_based_cfg if loop == 'epoch' else toy.iter_based_cfg
    whole = train(cfg).model.state_dict()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(RunEnded) as ended:
            train(cfg, SendAt(stage, iteration))
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert ended.value.code == 143
    folder = toy.temp_dir.name
    with open(osp.join(folder, 'last_checkpoint')) as file:
        saved = torch.load(file.read(), weights_only=False)
    assert saved['meta']['iter'] == ends_after and 'optimizer' in saved
    resumed = train(cfg, resume=True).model.state_dict()
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
    assert not [n for n in os.listdir(folder) if n.endswith('.tmp')]


def test_gradients_that_are_accumulated_are_applied_first(toy):
    cfg = toy.epoch_based_cfg
    cfg.optim_wrapper.accumulative_counts = 2
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(RunEnded):
            train(cfg, SendAt('after_train_iter', 4))
    finally:
        signal.signal(signal.SIGTERM, handler)
    saved = torch.load(
        osp.join(toy.temp_dir.name, 'stopped.pth'), weights_only=False)
    assert saved['meta']['iter'] == 6


def test_workers_that_outlive_a_signal_end_with_the_run(toy):
    cfg, kept = toy.epoch_based_cfg, []
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=1, persistent_workers=True)
    # The runner is kept, so the workers live until the process ends.
    process = multiprocessing.get_context('fork').Process(
        target=lambda: kept.append(train(cfg)))
    process.start()
    process.join(60)
    took_too_long = process.is_alive()
    process.kill()
    process.join()
    assert not took_too_long and process.exitcode == 0


def test_signals_are_left_as_they_were_found(toy):
    before = signal.getsignal(signal.SIGTERM)
    train(toy.epoch_based_cfg)
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_signals_can_be_named(toy):
    handler = signal.getsignal(signal.SIGUSR1)
    try:
        with pytest.raises(RunEnded) as ended:
            train(
                toy.epoch_based_cfg,
                SendAt('before_train_iter', 2, signal.SIGUSR1),
                signals='SIGUSR1')
    finally:
        signal.signal(signal.SIGUSR1, handler)
    assert ended.value.code == 128 + signal.SIGUSR1


@pytest.mark.parametrize(
    'signals',
    ['SIGKILL', ['TERM'], [15], 15, None, [{}], ['sigterm'], [['SIGTERM']]])
def test_what_is_no_signal_is_refused(signals):
    with pytest.raises(ValueError, match='StopOnSignalHook.signals'):
        StopOnSignalHook(signals=signals)


def test_before_training_a_signal_ends_the_process_at_once():
    before = signal.getsignal(signal.SIGUSR1)
    end_at_once(['SIGUSR1'])
    try:
        with pytest.raises(RunEnded):
            os.kill(os.getpid(), signal.SIGUSR1)
            signal.pause()
    finally:
        signal.signal(signal.SIGUSR1, before)


TWO_RANKS = '''
import os, signal, sys
import torch.distributed as dist
from mmengine.hooks import Hook
from mmengine.testing.runner_test_case import RunnerTestCase
from mmw2s.engine import launch
from mmw2s.engine.hooks import StopOnSignalHook

dist.init_process_group('gloo')
rank = dist.get_rank()

class Send(Hook):
    priority = 'HIGHEST'

    def after_train_iter(self, runner, *_, **__):
        if rank == 1 and runner.iter == 2:
            os.kill(os.getpid(), signal.SIGTERM)

case = RunnerTestCase('run')
case.setUp()
cfg = case.epoch_based_cfg
cfg.work_dir = sys.argv[1]
cfg.train_cfg.max_epochs = 30
cfg.train_cfg.val_interval = 30
cfg.model_wrapper_cfg = dict(
    type='MMDistributedDataParallel', device_ids=None,
    broadcast_buffers=False)
runner = case.build_runner(cfg)
runner.register_hook(StopOnSignalHook())
runner.register_hook(Send())
try:
    runner.train()
finally:
    print('ENDED AFTER', runner.iter + 1, flush=True)
    launch.shut_down_processes()
'''


@pytest.mark.slow
def test_all_ranks_leave_after_the_same_iteration(tmp_path):
    codes, shown = zip(*run_ranks(TWO_RANKS, str(tmp_path)))
    assert codes == (143, 143), shown
    after = {line for s in shown for line in s.splitlines() if 'ENDED' in line}
    assert len(after) == 1
    saved = torch.load(tmp_path / 'stopped.pth', weights_only=False)
    assert after == {f'ENDED AFTER {saved["meta"]["iter"]}'}
