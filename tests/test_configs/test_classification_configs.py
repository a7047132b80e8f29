# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os.path as osp
from pathlib import Path

import mmpretrain.models  # noqa: F401
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import mmw2s
from mmw2s.distillation.defaults import default_schedule
from mmw2s.distillation.terms import build_terms

ROOT = Path(__file__).parents[2] / 'configs'
CONFIGS = sorted(
    p.relative_to(ROOT).as_posix() for p in ROOT.glob('classification/*.py'))
W2S = [name for name in CONFIGS if osp.basename(name).startswith('w2s_')]
CIFAR = [name for name in CONFIGS if 'cifar10' in name]


def load(name):
    return Config.fromfile(mmw2s.config(name))


def hooks(cfg, kind):
    return [h for h in cfg.get('custom_hooks', []) if h['type'] == kind]


def teacher_of(cfg):
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    path = hook.teacher.config
    return Config.fromfile(path) if osp.isabs(path) else Config.fromstring(
        f"_base_ = '{path}'", '.py')


def build(cfg):
    init_default_scope('mmpretrain')
    model = cfg.model.copy()
    model.data_preprocessor = cfg.data_preprocessor
    return MODELS.build(model)


def size(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('name', CONFIGS)
def test_config_parses_and_its_model_takes_a_batch(name):
    cfg = load(name)
    model = build(cfg)
    side = 32 if 'cifar10' in name else 224
    with torch.no_grad():
        logits = model.eval()(torch.zeros(1, 3, side, side))
    assert logits.shape == (1, cfg.data_preprocessor.num_classes)
    # A run writes its config down and reads it again for its report.
    written = Config.fromstring(cfg.pretty_text, '.py')
    assert written.to_dict() == cfg.to_dict()
    assert len(hooks(cfg, 'TimeToTargetHook')) == 1


@pytest.mark.parametrize('name', W2S)
def test_student_has_one_smaller_teacher_of_the_same_classes(name):
    student = load(name)
    teacher = teacher_of(student)
    assert not hooks(teacher, 'WeakTeacherDistillHook')
    assert teacher.data_preprocessor == student.data_preprocessor
    assert teacher.model.head.num_classes == student.model.head.num_classes
    assert size(build(teacher)) < size(build(student))


@pytest.mark.parametrize('name', W2S)
def test_targets_and_stop_rule_are_about_accuracy_in_percent(name):
    cfg = load(name)
    (distil, ), (timing, ) = (
        hooks(cfg, kind)
        for kind in ('WeakTeacherDistillHook', 'TimeToTargetHook'))
    (metric, targets), = timing.targets.items()
    assert metric == 'accuracy/top1' and min(targets) > 10
    if 'stop' in distil:  # by default it takes the evaluator's first
        assert distil.stop.metric == metric
    assert cfg.val_evaluator.type == 'Accuracy'


@pytest.mark.parametrize('name', W2S)
def test_the_teachers_checkpoint_is_that_of_its_own_schedule(name):
    hook, = hooks(load(name), 'WeakTeacherDistillHook')
    if hook.teacher.checkpoint != 'auto':
        epochs = teacher_of(load(name)).train_cfg.max_epochs
        assert hook.teacher.checkpoint.endswith(f'epoch_{epochs}.pth')


@pytest.mark.parametrize('name', [n for n in W2S if 'in1k' in n])
def test_imagenet_configs_add_nothing_but_hooks_to_those_of_the_zoo(name):
    ours = load(name)
    folder = dict(
        resnet50='resnet',
        swin='swin_transformer',
        convnext='convnext',
        deit='deit')
    zoo = osp.basename(name)[len('w2s_'):]
    folder = folder[zoo.split('-')[0].split('_')[0]]
    theirs = Config.fromstring(f"_base_ = 'mmpretrain::{folder}/{zoo}'", '.py')
    changed = {k for k in ours if theirs.get(k) != ours[k]}
    assert changed == {'custom_imports', 'custom_hooks'}
    kept = theirs.get('custom_hooks', [])
    assert [dict(h) for h in ours.custom_hooks[:len(kept)]] == kept


@pytest.mark.parametrize('name', CIFAR)
def test_cifar_runs_are_in_bfloat16_with_the_channels_last(name):
    cfg = load(name)
    assert cfg.optim_wrapper.type == 'BF16OptimWrapper'
    assert len(hooks(cfg, 'ChannelsLastHook')) == 1
    for scheduler in cfg.param_scheduler if isinstance(cfg.param_scheduler,
                                                       list) else ():
        if scheduler.get('by_epoch', True):
            assert scheduler.end == cfg.train_cfg.max_epochs


def test_the_piece_is_the_default_of_any_classifier():
    hook, _ = load('_base_/w2s_classification.py').custom_hooks
    assert hook.schedule == default_schedule()
    term, = build_terms(hook.distill)
    assert term.key == 'loss_kd_logits'
    term.temperature.bind(100, 10)
    assert [term.temperature.value(i) for i in (0, 30)] == [6., 1.]
