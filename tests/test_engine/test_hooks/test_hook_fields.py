# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
from entries import CLS, FPN, entry
from mmengine.config import Config, ConfigDict
from mmengine.registry import HOOKS
from runs import find, train
from toys import retinanet, run_config

from mmw2s.engine import TimeToTargetHook, WeakTeacherDistillHook

HOOK = 'WeakTeacherDistillHook'


def hook(teacher='x.py', **fields):
    return dict(type=HOOK, teacher=teacher, **fields)


@pytest.mark.parametrize('fields, message', [
    (dict(distill=[entry(FPN, loss_eps='1e-6')]),
     r'Hook.distill\[0\].loss \(PKDLoss\).eps should be a finite number > 0, '
     "but got '1e-6'"),
    (dict(distill=[
        FPN,
        dict(CLS, knowledge=dict(type='DenseHeadOutputs', anchors=True))
    ]),
     r'Hook.distill\[1\].knowledge \(DenseHeadOutputs\).anchors.* but got Tr'),
    (dict(distill=[entry(CLS, temperature=dict(type='Constant', value='4'))]),
     r"Hook.distill\[0\].temperature \(Constant\).value should .* got '4'"),
    (dict(distill=[entry(FPN, loss_loss_weight='auto', auto_ratio=True)]),
     r'Hook.distill\[0\].auto_ratio should be a finite number > 0'),
    (dict(distill=[entry(FPN, name='')]), r'Hook.distill\[0\].name should'),
    (dict(schedule=dict(type='WarmupHoldDecay', hold=13, unit='run')),
     r'Hook.schedule \(WarmupHoldDecay\).hold \(a share of the run\) should'),
    (dict(stop=dict(type='At', iter=float('nan'))),
     r'Hook.stop \(At\).iter should be an integer >= 0, but got nan'),
    (dict(stop=dict(type='SurpassOnTrain', min_looks=float('inf'))),
     r'Hook.stop \(SurpassOnTrain\).min_looks should be an integer'),
    (dict(teacher=dict(config='x.py', score='0.4')),
     'Hook: teacher.score should be a finite number'),
    (dict(task_weight=True), 'Hook.task_weight should be a finite number'),
])
def test_a_wrong_value_is_told_with_hook_entry_and_field(fields, message):
    with pytest.raises(ValueError, match=message):
        HOOKS.build(hook(**fields))


@pytest.mark.parametrize('fields, message', [
    (dict(distill=FPN), 'distill should be a list .* in brackets'),
    (dict(distill='FPNFeatures'), 'distill should be a list of entries'),
    (dict(distill=3), 'distill should be a list of entries'),
    (dict(distill=[FPN, None]), r'distill\[1\] should be a dict'),
    (dict(distill=['FPNFeatures']), r'distill\[0\] should be a dict'),
    (dict(distill=[dict(FPN, loss='PKDLoss')]), r'\[0\].loss should be a dic'),
    (dict(distill=[dict(FPN, loss=dict(type='torch.nn.ReLU'))]),
     r'\[0\].loss \(ReLU\) should be a loss'),
    (dict(distill=[dict(FPN, loss=dict(type=None))]),
     r'\[0\].loss: "type" sh'),
    (dict(distill=[dict(FPN, knowledge='FPNFeatures')]),
     r'\[0\].knowledge: a knowledge should be a dict .* Registered are'),
    (dict(distill=[entry(CLS, temperature=4.)]),
     r'\[0\].temperature: a schedule should be a dict .* but got 4.0'),
    (dict(schedule=0.5),
     'schedule: a schedule should .*type="Constant".* 0.5'),
    (dict(schedule=False), 'schedule: a schedule should be a dict'),
    (dict(stop=False), 'stop: a stop rule should be a dict .* Surpass'),
    (dict(stop='never'), "stop: a stop rule should be a dict .* got 'never'"),
    (dict(stop={}), 'stop: a stop rule should be a dict'),
    (dict(stop=[dict(type='At', iter=3)]), 'stop: a stop rule should be'),
])
def test_a_wrong_structure_is_refused_with_what_is_expected(fields, message):
    with pytest.raises(TypeError, match=message):
        HOOKS.build(hook(**fields))


@pytest.mark.parametrize('teacher', [None, '', 3, []])
def test_what_is_no_teacher_is_refused(teacher):
    with pytest.raises(ValueError, match=f'{HOOK}: teacher should be a conf'):
        HOOKS.build(hook(teacher))


def test_entries_may_stand_in_a_tuple_and_be_of_each_kind_of_dict():
    entries = [copy.deepcopy(FPN), ConfigDict(copy.deepcopy(CLS))]
    for distill in (tuple(entries), Config(dict(x=entries)).x):
        HOOKS.build(hook(distill=distill, stop=None, schedule=None))


@pytest.mark.parametrize('fields, message', [
    (dict(targets=dict(mAP='0.3')), r"targets\['mAP'\] should be a finite"),
    (dict(targets=dict(mAP=[.2, True])), r"targets\['mAP'\] should be a fin"),
    (dict(targets=dict(mAP=float('nan'))), r"targets\['mAP'\] should be a f"),
    (dict(targets=dict(mAP=[])), r"targets\['mAP'\] should name at least one"),
    (dict(targets=['mAP']), 'targets should be a dict'),
    (dict(targets={3: 0.3}), 'key of TimeToTargetHook.targets should be'),
    (dict(targets=dict(mAP=.3), stop_at_target='no'), 'stop_at_target should'),
    (dict(rule='more'), "TimeToTargetHook.rule should be one of None, 'great"),
])
def test_targets_are_numbers_by_metric(fields, message):
    with pytest.raises(ValueError, match=message):
        TimeToTargetHook(**fields)


# -- runs ----------------------------------------------------------------


@pytest.fixture
def untrained():
    return dict(
        config=dict(default_scope='mmdet', model=retinanet(18)),
        checkpoint=None)


@pytest.mark.parametrize(
    'missing',
    [['runtime_info'],
     ['timer', 'logger', 'param_scheduler', 'checkpoint', 'sampler_seed']])
def test_a_run_does_without_mmengines_own_hooks(pictures, untrained, tmp_path,
                                                missing):
    cfg = run_config(
        pictures,
        tmp_path,
        epochs=1,
        hooks=[
            hook(
                untrained,
                schedule=dict(type='Constant', value=1.),
                stop=dict(type='At', iter=3)),
            dict(type='TimeToTargetHook', targets={'coco/bbox_mAP': 0.3})
        ])
    for name in missing:
        cfg.default_hooks[name] = None
    runner = train(cfg)
    distill = find(runner, WeakTeacherDistillHook)
    assert [row['iter'] for row in distill.record.of('stop')] == [3]


def test_two_hooks_of_a_kind_are_refused_wherever_they_stand(
        pictures, untrained, tmp_path):
    twice = dict(type='TimeToTargetHook', targets={'coco/bbox_mAP': 0.3})
    cfg = run_config(pictures, tmp_path, hooks=[twice])
    cfg.default_hooks.clock = twice
    with pytest.raises(ValueError, match='more than one TimeToTargetHook'):
        train(cfg)
    cfg = run_config(pictures, tmp_path, hooks=[hook(untrained)])
    cfg.default_hooks.w2s = hook(untrained)
    with pytest.raises(ValueError, match=f'more than one {HOOK}'):
        train(cfg)
