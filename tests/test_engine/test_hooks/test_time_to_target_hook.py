# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import glob
import json
import os
import os.path as osp
import time
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, METRICS
from ranks import run_ranks

from mmw2s.analysis.run import Run
from mmw2s.engine.hooks.time_to_target_hook import TimeToTargetHook
from mmw2s.records.files import EVENTS
from mmw2s.records.targets import target_results

SAVE_BEFORE_VALIDATION = dict(type='CheckpointHook', interval=1)


class Cut(Exception):
    """Stands for a kill."""


class CutBeforeValidation(Hook):
    priority = 'HIGHEST'

    def __init__(self, at_iter):
        self.at_iter = at_iter

    def before_val(self, runner):
        if runner.iter == self.at_iter:
            raise Cut


class Sleep(Hook):
    """Slow work of other hooks, at the stages given."""

    def __init__(self, stages, seconds):
        for stage in stages:
            setattr(self, stage, lambda *_, **__: time.sleep(seconds))


@METRICS.register_module()
class MeanOutput(BaseMetric):
    """Rises steadily, because the toy loss asks for ever larger outputs.

    From the validation number ``silent`` times on only; before, it gives
    nothing, as mmdet does while nothing is detected.
    """

    def __init__(self, silent=0, name='acc'):
        super().__init__()
        self.silent, self.name = silent, name

    def process(self, data_batch, data_samples):
        self.results += [float(x) for x in data_samples]

    def compute_metrics(self, results):
        self.silent -= 1
        if self.silent >= 0:
            return {}
        return {
            self.name: sum(results) / len(results),
            'per_class': [1, 2],
            'bad': float('nan')
        }


@pytest.fixture
def toy(toy):
    for cfg in (toy.epoch_based_cfg, toy.iter_based_cfg):
        cfg.randomness = dict(seed=0)
        cfg.optim_wrapper.optimizer.lr = 1e-3
        cfg.val_evaluator = dict(type='MeanOutput')
    toy.epoch_based_cfg.train_cfg.max_epochs = 4
    toy.epoch_based_cfg.default_hooks.checkpoint = SAVE_BEFORE_VALIDATION
    toy.iter_based_cfg.train_cfg.val_interval = 3
    toy.iter_based_cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=3, by_epoch=False)
    return toy


def train(toy, cfg, *others, resume=False, **hook):
    cfg = cfg.copy()
    cfg.resume = resume
    runner = toy.build_runner(cfg)
    runner.register_hook(TimeToTargetHook(**hook))
    for other in others:
        runner.register_hook(other)
    try:
        runner.train()
    except Cut:
        pass
    return runner


def record(toy, name='time_to_target.json') -> dict:
    with open(osp.join(toy.temp_dir.name, name)) as f:
        return json.load(f)


def untimed(history) -> list:
    return [{
        k: v
        for k, v in row.items() if 'seconds' not in k and k != 'data_wait'
    } for row in history]


def log_of(toy) -> str:
    text = ''
    for path in glob.glob(osp.join(toy.temp_dir.name, '*', '*.log')):
        with open(path) as f:
            text += f.read()
    return text


def test_it_is_found_by_its_bare_name():
    assert HOOKS.build(dict(type='TimeToTargetHook')).targets == []


def test_epochs_are_counted_as_completed_ones(toy):
    train(toy, toy.epoch_based_cfg)
    content = record(toy)
    assert [r['epoch'] for r in content['history']] == [1, 2, 3, 4]
    assert [r['iter'] for r in content['history']] == [4, 8, 12, 16]
    assert [r['samples'] for r in content['history']] == [12, 24, 36, 48]
    assert content['finished'] and content['targets'] == []
    assert content['run']['seed'] == 0
    assert content['run']['max_epochs'] == 4
    assert content['run']['versions']['torch'] == torch.__version__


def test_an_iteration_loop_has_fractions_of_epochs(toy):
    train(toy, toy.iter_based_cfg)
    content = record(toy)
    assert [r['iter'] for r in content['history']] == [3, 6, 9, 12]
    assert [r['epoch'] for r in content['history']] == [.75, 1.5, 2.25, 3]
    assert content['run']['max_epochs'] is None


def test_the_first_validation_at_a_target_is_named(toy):
    train(toy, toy.epoch_based_cfg)
    history = record(toy)['history']
    scores = [row['metrics']['acc'] for row in history]
    assert scores == sorted(scores) and scores[0] < scores[3]
    between = (scores[1] + scores[2]) / 2
    train(
        toy,
        toy.epoch_based_cfg,
        targets=dict(acc=[between, scores[1], scores[3] + 1]))
    reached = [t['reached'] for t in record(toy)['targets']]
    assert [r and r['iter'] for r in reached] == [12, 8, None]
    assert reached[0]['score'] == scores[2]
    assert reached[0]['epoch'] == 3 and reached[0]['samples'] == 36


def test_less_is_better_where_the_rule_says_so(toy):
    train(toy, toy.epoch_based_cfg, targets=dict(acc=1e3), rule='less')
    target, = record(toy)['targets']
    assert target['rule'] == 'less' and target['reached']['iter'] == 4


def test_validation_is_in_the_wall_clock_but_not_in_the_training_time(toy):
    scoring = Sleep(['before_train'], .2)
    validating = Sleep(['before_val_epoch'], .1)
    train(toy, toy.epoch_based_cfg, scoring, validating)
    rows = record(toy)['history']
    for number, row in enumerate(rows, 1):
        assert row['wall_seconds'] > row['train_seconds'] + .2 + .1 * number
    assert rows[-1]['train_seconds'] < rows[-1]['wall_seconds'] - .6
    assert rows[0]['train_seconds'] < rows[1]['train_seconds']


@pytest.mark.parametrize('loop, steps', [('epoch', 4), ('iter', 3)])
def test_the_share_of_time_that_data_were_waited_for_is_kept(
        toy, loop, steps, monkeypatch):
    # Each of the steps between two validations takes 90 ms, and its three
    # samples 30.
    load = DATASETS.get('ToyDataset').__getitem__
    monkeypatch.setattr(
        DATASETS.get('ToyDataset'), '__getitem__', lambda self, i:
        (time.sleep(.01), load(self, i))[1])
    cfg = toy.epoch_based_cfg if loop == 'epoch' else toy.iter_based_cfg
    train(toy, cfg, Sleep(['after_train_iter'], .09),
          Sleep(['after_train_epoch', 'before_val', 'after_val'], .2))
    passed = 0.
    for row in record(toy)['history']:
        passed, before = row['train_seconds'], passed
        waited = row['data_wait'] * (passed - before)
        assert .03 * steps <= waited <= passed - before - .09 * steps
    assert 'went into waiting for data' in log_of(toy)


def test_only_finite_scalars_are_kept(toy):
    train(toy, toy.epoch_based_cfg)
    assert set(record(toy)['history'][0]['metrics']) == {'acc', 'bad'}
    assert record(toy)['history'][0]['metrics']['bad'] is None


def test_a_validation_without_metrics_is_survived(toy):
    toy.epoch_based_cfg.val_evaluator.silent = 2
    train(toy, toy.epoch_based_cfg, targets=dict(acc=-1e9))
    content = record(toy)
    assert [len(r['metrics']) for r in content['history']] == [0, 0, 2, 2]
    assert content['targets'][0]['reached']['iter'] == 12
    assert 'cannot be reached' not in log_of(toy)


def test_an_unknown_metric_is_said_once_with_those_there_are(toy):
    train(toy, toy.epoch_based_cfg, targets={'coco/bbox_mAP': .3})
    assert record(toy)['targets'][0]['reached'] is None
    log = log_of(toy)
    assert log.count('targets for coco/bbox_mAP') == 1
    assert 'the validation gives: acc, bad' in log


@pytest.mark.parametrize('fields, message', [
    (dict(targets=dict(fid=60)), 'give rule='),
    (dict(targets=dict(acc=.5), rule='more'), "None, 'greater', 'less'"),
    (dict(stop_at_target=True), 'at least one target'),
])
def test_fields_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        TimeToTargetHook(**fields)


@pytest.mark.parametrize('loop, cut_at', [('epoch', 4), ('epoch', 12),
                                          ('epoch', 16), ('iter', 6),
                                          ('iter', 12)])
def test_a_run_cut_before_a_validation_equals_the_unbroken_one(
        toy, loop, cut_at):
    cfg = toy.epoch_based_cfg if loop == 'epoch' else toy.iter_based_cfg
    train(toy, cfg)
    whole = record(toy)
    toy.clear_work_dir()

    train(toy, cfg, CutBeforeValidation(cut_at))
    before = record(toy)
    assert not before['finished']
    train(toy, cfg, resume=True)
    after = record(toy)
    assert after['finished']
    assert untimed(after['history']) == untimed(whole['history'])
    kept = len(before['history'])
    assert after['history'][:kept] == before['history']
    for unit in ('train_seconds', 'wall_seconds'):
        times = [row[unit] for row in after['history']]
        assert times == sorted(times)


def test_rows_beyond_the_loaded_checkpoint_are_dropped(toy):
    train(toy, toy.epoch_based_cfg)
    whole = record(toy)
    cfg = toy.epoch_based_cfg.copy()
    cfg.load_from = osp.join(toy.temp_dir.name, 'epoch_2.pth')
    train(toy, cfg, CutBeforeValidation(12), resume=True)
    assert record(toy)['history'] == whole['history'][:2]


def test_the_clocks_go_on_from_the_checkpoint(toy):
    slow = Sleep(['before_train_epoch'], .3)
    train(toy, toy.epoch_based_cfg, slow, CutBeforeValidation(16))
    train(toy, toy.epoch_based_cfg, resume=True)
    assert record(toy)['history'][3]['train_seconds'] > 1.2
    clock = torch.load(
        osp.join(toy.temp_dir.name, 'epoch_1.pth'),
        weights_only=False)['time_to_target']
    assert {type(v) for v in clock.values()} == {float}
    assert 0 < clock['train_seconds'] <= clock['wall_seconds']


@pytest.mark.parametrize('loop', ['epoch', 'iter'])
def test_skipping_data_that_were_trained_on_costs_no_time(
        toy, loop, now, monkeypatch):
    load = DATASETS.get('ToyDataset').__getitem__

    def slow_load(dataset, i):
        now[0] += 1
        return load(dataset, i)

    monkeypatch.setattr(DATASETS.get('ToyDataset'), '__getitem__', slow_load)
    cfg = toy.epoch_based_cfg if loop == 'epoch' else toy.iter_based_cfg
    # With an infinite sampler, some versions skip without loading.
    cfg.train_dataloader.sampler.type = 'DefaultSampler'
    train(toy, cfg)
    whole = record(toy)['history']
    cfg.load_from = osp.join(
        toy.temp_dir.name, 'epoch_2.pth' if loop == 'epoch' else 'iter_6.pth')
    train(toy, cfg, resume=True)
    resumed = record(toy)['history']
    assert len(resumed) == len(whole)
    # What the first batch after the skipped ones took is not known.
    lost = 0 if loop == 'epoch' else 3
    for row, before in zip(resumed[2:], whole[2:]):
        for unit in ('train_seconds', 'wall_seconds'):
            assert before[unit] - row[unit] == lost
    assert [row['data_wait'] for row in resumed] == \
        [row['data_wait'] for row in whole]


def test_a_run_resumed_in_another_work_dir_keeps_its_history(toy, tmp_path):
    train(toy, toy.epoch_based_cfg)
    whole = record(toy)['history']
    cfg = toy.epoch_based_cfg.copy()
    cfg.load_from = osp.join(toy.temp_dir.name, 'epoch_2.pth')
    cfg.work_dir = str(tmp_path)
    train(toy, cfg, resume=True)
    resumed = json.loads((tmp_path / 'time_to_target.json').read_text())
    assert resumed['history'][:2] == whole[:2]
    assert untimed(resumed['history']) == untimed(whole)
    assert record(toy)['history'] == whole


def test_a_record_that_is_lost_is_begun_anew_with_a_validation(toy):
    train(toy, toy.epoch_based_cfg)
    cfg = toy.epoch_based_cfg.copy()
    os.remove(osp.join(toy.temp_dir.name, 'time_to_target.json'))
    cfg.load_from = osp.join(toy.temp_dir.name, 'epoch_2.pth')
    train(toy, cfg, resume=True)
    assert [r['iter'] for r in record(toy)['history']] == [8, 12, 16]
    assert record(toy)['run']['recorded_from'] == 8
    log = log_of(toy)
    assert 'no record of its earlier validations' in log
    assert 'due at iteration 8' in log and 'there is no record of it' in log


def test_an_unreadable_record_of_another_work_dir_is_left_alone(toy, tmp_path):
    train(toy, toy.epoch_based_cfg)
    path = osp.join(toy.temp_dir.name, 'time_to_target.json')
    with open(path, 'w') as f:
        f.write('{"half')
    cfg = toy.epoch_based_cfg.copy()
    cfg.load_from = osp.join(toy.temp_dir.name, 'epoch_2.pth')
    cfg.work_dir = str(tmp_path)
    train(toy, cfg, resume=True)
    with open(path) as f:
        assert f.read() == '{"half'


def test_a_fresh_run_never_overwrites_an_older_record(toy):
    for _ in range(3):
        train(toy, toy.epoch_based_cfg, targets=dict(acc=.5))
    first = record(toy, 'time_to_target.1.json')
    second = record(toy, 'time_to_target.2.json')
    assert first['history'][0]['wall_seconds'] != \
        second['history'][0]['wall_seconds']
    assert record(toy)['history'] not in (first['history'], second['history'])


def test_a_fresh_run_is_not_given_the_teacher_of_an_older_one(toy):
    train(toy, toy.epoch_based_cfg)
    events = Path(toy.temp_dir.name, EVENTS)
    events.write_text('{"event": "teacher", "iter": 0}\n')
    train(toy, toy.epoch_based_cfg)
    assert not events.exists()
    older = Run.load(osp.join(toy.temp_dir.name, 'time_to_target.1.json'))
    assert older.had_teacher
    assert not Run.load(toy.temp_dir.name).had_teacher


def test_loading_weights_only_is_a_fresh_run(toy):
    train(toy, toy.epoch_based_cfg)
    cfg = toy.epoch_based_cfg.copy()
    cfg.load_from = osp.join(toy.temp_dir.name, 'epoch_4.pth')
    train(toy, cfg)
    rows = record(toy)['history']
    assert [r['iter'] for r in rows] == [4, 8, 12, 16]
    assert rows[0]['wall_seconds'] < \
        record(toy, 'time_to_target.1.json')['history'][-1]['wall_seconds']


@pytest.mark.parametrize('loop', ['epoch', 'iter'])
def test_stop_at_target_ends_the_run_with_a_checkpoint(toy, loop):
    cfg = toy.epoch_based_cfg if loop == 'epoch' else toy.iter_based_cfg
    train(toy, cfg)
    rows = record(toy)['history']
    target = dict(
        targets=dict(
            acc=[rows[0]['metrics']['acc'], rows[1]['metrics']['acc']]),
        stop_at_target=True)
    toy.clear_work_dir()
    cfg.default_hooks.checkpoint.interval = 1000

    runner = train(toy, cfg, **target)
    stopped_at = rows[1]['iter']
    assert runner.iter == stopped_at
    assert record(toy)['finished']
    assert 'All targets are reached' in log_of(toy)
    with open(osp.join(toy.temp_dir.name, 'last_checkpoint')) as f:
        saved = torch.load(f.read(), weights_only=False)
    assert saved['meta']['iter'] == stopped_at and 'optimizer' in saved

    # resumed as it is, it has nothing left to do
    runner = train(toy, cfg, resume=True, **target)
    assert runner.iter == stopped_at
    # resumed without the stop, it ends as if it had never stopped
    train(toy, cfg, resume=True)
    assert untimed(record(toy)['history']) == untimed(rows)


def test_no_second_checkpoint_where_one_was_just_saved(toy):
    train(
        toy, toy.epoch_based_cfg, targets=dict(acc=-1e9), stop_at_target=True)
    saved = glob.glob(osp.join(toy.temp_dir.name, '*.pth'))
    assert [osp.basename(path) for path in saved] == ['epoch_1.pth']


def test_a_target_reached_by_a_missed_validation_stops_at_once(toy):
    train(toy, toy.epoch_based_cfg, CutBeforeValidation(4))
    runner = train(
        toy,
        toy.epoch_based_cfg,
        resume=True,
        targets=dict(acc=-1e9),
        stop_at_target=True)
    assert runner.iter == 4
    assert [r['iter'] for r in record(toy)['history']] == [4]


def test_validation_alone_writes_nothing(toy):
    runner = toy.build_runner(toy.epoch_based_cfg)
    runner.register_hook(TimeToTargetHook(targets=dict(acc=.5)))
    runner.val()
    assert not osp.exists(osp.join(toy.temp_dir.name, 'time_to_target.json'))


def test_a_record_that_cannot_be_read_is_kept_and_named(toy):
    train(toy, toy.epoch_based_cfg, CutBeforeValidation(12))
    path = osp.join(toy.temp_dir.name, 'time_to_target.json')
    with open(path, 'w') as f:
        f.write('{"half')
    train(toy, toy.epoch_based_cfg, resume=True)
    assert [r['iter'] for r in record(toy)['history']] == [12, 16]
    with open(path.replace('.json', '.1.json')) as f:
        assert f.read() == '{"half'
    assert 'earlier validations is lost' in log_of(toy)


TWO_RANKS = '''
import sys
import torch.distributed as dist
from mmengine.hooks import Hook
from mmengine.testing.runner_test_case import RunnerTestCase
from mmw2s.records.targets import target_results
from mmw2s.engine import TimeToTargetHook
from mmw2s.engine.launch import shut_down_processes

dist.init_process_group('gloo')
rank = dist.get_rank()

class Cut(Hook):
    priority = 'HIGHEST'

    def before_val(self, runner):
        if runner.iter == 4 and not runner._resume:
            raise InterruptedError

for resume in (False, True):
    case = RunnerTestCase('run')
    case.setUp()
    cfg = case.epoch_based_cfg
    cfg.work_dir, cfg.resume = sys.argv[1], resume
    cfg.train_cfg.max_epochs = 3
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel', device_ids=None,
        broadcast_buffers=False)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    runner = case.build_runner(cfg)
    hook = TimeToTargetHook(targets=dict(acc=.5))
    runner.register_hook(hook)
    runner.register_hook(Cut())
    try:
        runner.train()
    except InterruptedError:
        pass
print('ITERS', [row['iter'] for row in hook.history])
result, = target_results(hook.targets, hook.history)
assert result['reached']['samples'] == 12
shut_down_processes()
'''


@pytest.mark.slow
def test_two_ranks_write_one_record_and_miss_the_same_validation(tmp_path):
    for code, shown in run_ranks(TWO_RANKS, str(tmp_path)):
        assert code == 0
        assert 'ITERS [2, 4, 6]' in shown
    with open(tmp_path / 'time_to_target.json') as f:
        content = json.load(f)
    assert [row['samples'] for row in content['history']] == [12, 24, 36]
    assert content['run']['world_size'] == 2
    assert len(content['run']['devices']) == 2


def test_a_target_is_told_of_when_it_is_reached_and_once(toy):
    train(
        toy, toy.epoch_based_cfg, targets={'acc': [-1e9, 1e9]}, rule='greater')
    line, = [x for x in log_of(toy).split('\n') if 'Target reached' in x]
    assert 'acc' in line and '>= -1e+09' in line
    assert 'at epoch 1, iteration 4, after ' in line


def test_the_last_line_is_the_next_command(toy):
    train(toy, toy.epoch_based_cfg)
    assert f'mmw2s compare {toy.temp_dir.name} --w2s ' in log_of(toy)


def test_reached_by_one_spike_is_not_reached_for_good():
    hook = TimeToTargetHook({'acc': .2}, 'greater')
    history = [
        dict(epoch=i, iter=i, metrics=dict(acc=score))
        for i, score in enumerate((.205, .154, .21, .22), 1)
    ]
    result, = target_results(hook.targets, history)
    assert result['reached']['iter'] == 1
    assert result['reached_for_good']['iter'] == 3


@pytest.mark.parametrize('kind, sampler, drop_last, samples', [
    ('epoch', 'DefaultSampler', False, [12, 24]),
    ('epoch', 'DefaultSampler', True, [10, 20]),
    ('iter', 'DefaultSampler', False, [12, 24]),
    ('iter', 'InfiniteSampler', False, [15, 30]),
])
def test_samples_are_counted_as_they_were_drawn(toy, kind, sampler, drop_last,
                                                samples):
    cfg = getattr(toy, f'{kind}_based_cfg')
    # 12 samples in batches of 5: three, the last of them of 2.
    cfg.train_dataloader.update(
        batch_size=5, sampler=dict(type=sampler), drop_last=drop_last)
    cfg.train_cfg.update(
        dict(max_epochs=2) if kind == 'epoch' else dict(max_iters=6))
    train(toy, cfg)
    assert [row['samples'] for row in record(toy)['history']] == samples
