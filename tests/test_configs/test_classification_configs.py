# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import os.path as osp
from pathlib import Path

import mmpretrain.models  # noqa: F401
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier

import mmw2s
from mmw2s.distillation.recipes import default_distill, default_schedule
from mmw2s.distillation.terms import build_terms

ROOT = Path(__file__).parents[2] / 'configs'
CONFIGS = sorted(
    p.relative_to(ROOT).as_posix() for p in ROOT.glob('classification/*.py'))
W2S = [name for name in CONFIGS if osp.basename(name).startswith('w2s_')]
SMALL = [name for name in CONFIGS if 'in1k' not in name]
SIDES = {'cifar10': 32, '96px': 96, '128px': 128}


def load(name):
    return Config.fromfile(mmw2s.config(name))


def hooks(cfg, kind):
    return [
        h for h in cfg.get('custom_hooks', [])
        if h['type'].split('.')[-1] == kind
    ]


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
    side = next((size for part, size in SIDES.items() if part in name), 224)
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
def test_the_teachers_checkpoint_is_one_that_its_own_schedule_keeps(name):
    hook, = hooks(load(name), 'WeakTeacherDistillHook')
    if hook.teacher.checkpoint != 'auto':
        teacher = teacher_of(load(name))
        epochs = teacher.train_cfg.max_epochs
        epoch = int(hook.teacher.checkpoint.split('epoch_')[1][:-4])
        kept = teacher.default_hooks.checkpoint.get('max_keep_ckpts')
        assert epoch == epochs or (epoch < epochs and kept == -1)


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
    assert changed == {'custom_hooks'}
    kept = theirs.get('custom_hooks', [])
    assert [dict(h) for h in ours.custom_hooks[:len(kept)]] == kept


@pytest.mark.parametrize('name', SMALL)
def test_small_runs_are_in_bfloat16_with_the_channels_last(name):
    cfg = load(name)
    assert cfg.optim_wrapper.type == 'BF16OptimWrapper'
    assert len(hooks(cfg, 'ChannelsLastHook')) == 1
    for scheduler in cfg.param_scheduler if isinstance(cfg.param_scheduler,
                                                       list) else ():
        if scheduler.get('by_epoch', True):
            assert scheduler.end == cfg.train_cfg.max_epochs


def test_the_piece_is_the_default_of_any_classifier():
    hook, _ = load('_base_/w2s_classification.py').custom_hooks
    student = build_classifier(classifier())
    assert hook.schedule == default_schedule(student)
    (term, ), (default, ) = (
        build_terms(distill)
        for distill in (hook.distill, default_distill(student, student)))
    assert term.key == default.key == 'loss_kd_logits'
    assert term.loss.loss_weight == default.loss.loss_weight
    for temperature in (term.temperature, default.temperature):
        temperature.bind(100, 10)
        assert [temperature.value(i) for i in (0, 50)] == [6., 1.]


def test_imagenettes_classes_are_those_of_imagenet_under_its_names():
    from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
    cfg = load('_base_/datasets/imagenette_96px.py')
    numbers = [IMAGENET_CATEGORIES.index(c) for c in cfg.metainfo.classes]
    # In the order of the folders, whose names are sorted as ImageNet's are.
    assert numbers == [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]


@pytest.mark.parametrize('size', [96, 128])
def test_pictures_of_imagenette_are_found(size):
    data = os.environ.get('MMW2S_DATA')
    if not data:
        pytest.skip('MMW2S_DATA is not set')
    cfg = load(f'_base_/datasets/imagenette_{size}px.py')
    init_default_scope('mmpretrain')
    for loader, count in ((cfg.train_dataloader, 9469), (cfg.val_dataloader,
                                                         3925)):
        loader.dataset.data_root = osp.join(data, 'imagenette')
        dataset = DATASETS.build(loader.dataset)
        assert len(dataset) == count
        assert dataset[0]['inputs'].shape == (3, size, size)
        assert dataset[-1]['data_samples'].gt_label == 9
