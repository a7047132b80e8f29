# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import os.path as osp
from pathlib import Path

import mmpretrain.models  # noqa: F401
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope

import mmw2s
from mmw2s.distillation.recipes import default_distill, default_schedule
from mmw2s.utils.hook_configs import hook_configs as hooks

ROOT = Path(__file__).parents[2] / 'configs'
CONFIGS = sorted(
    p.relative_to(ROOT).as_posix() for p in ROOT.glob('classification/*.py'))
W2S = [name for name in CONFIGS if osp.basename(name).startswith('w2s_')]
SMALL = [name for name in CONFIGS if 'in1k' not in name]
SIDES = {'cifar10': 32, '96px': 96, '128px': 128}


def load(name):
    return Config.fromfile(mmw2s.config(name))


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
    timing, = hooks(cfg, 'TimeToTargetHook')
    (metric, targets), = timing.targets.items()
    assert metric == 'accuracy/top1' and min(targets) > 10
    # By which the stop rule decides by itself.
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
    cfg = load(name)
    folder = dict(
        resnet50='resnet',
        swin='swin_transformer',
        convnext='convnext',
        deit='deit')
    zoo = osp.basename(name)[len('w2s_'):]
    folder = folder[zoo.split('-')[0].split('_')[0]]
    zoo_cfg = Config.fromstring(f"_base_ = 'mmpretrain::{folder}/{zoo}'",
                                '.py')
    changed = {k for k in cfg if zoo_cfg.get(k) != cfg[k]}
    assert changed == {'default_hooks'}
    assert zoo_cfg.default_hooks.items() <= cfg.default_hooks.items()


@pytest.mark.parametrize('name', SMALL)
def test_small_runs_are_in_bfloat16_with_the_channels_last(name):
    cfg = load(name)
    assert cfg.optim_wrapper.type == 'BF16OptimWrapper'
    assert len(hooks(cfg, 'ChannelsLastHook')) == 1
    for scheduler in cfg.param_scheduler if isinstance(cfg.param_scheduler,
                                                       list) else ():
        if scheduler.get('by_epoch', True):
            assert scheduler.end == cfg.train_cfg.max_epochs


@pytest.mark.parametrize('name', W2S)
def test_what_the_hook_chooses_is_what_was_measured(name):
    cfg = load(name)
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    assert not {'distill', 'schedule', 'stop', 'task_weight'} & set(hook)
    student, teacher = build(cfg), build(teacher_of(cfg))
    assert default_distill(student, teacher) == [
        dict(
            knowledge=dict(type='ClassLogits'),
            loss=dict(type='KDLoss', loss_weight=3.),
            temperature=dict(
                type='Linear', start=6., end=1., length=0.5, unit='run'))
    ]
    # Full up to 20 % of the run, and none from 50 % on.
    assert default_schedule(student) == dict(
        type='WarmupHoldDecay', warmup=0.02, hold=0.18, decay=0.3, unit='run')


def test_imagenettes_classes_are_those_of_imagenet_under_its_names():
    from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
    cfg = load('_base_/datasets/imagenette_96px.py')
    numbers = [IMAGENET_CATEGORIES.index(c) for c in cfg.metainfo.classes]
    # In the order of the folders, whose names are sorted as ImageNet's are.
    assert numbers == [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]


@pytest.mark.parametrize('size', [96, 128])
def test_images_of_imagenette_are_found(size):
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
