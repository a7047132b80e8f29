# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The recipes that begin with the teacher's weights.

``*_started.py``, and ``*_grown.py``, which begin as the whole teacher.
"""
import json
import pickle
import re
from pathlib import Path

import mmdet.models  # noqa: F401
import mmpretrain.models  # noqa: F401
import numpy as np
import pytest
from builders import build
from mmengine.config import Config
from runs import rows, train_watched
from toys import write_pictures

import mmw2s
from mmw2s.distillation import FrozenTeacher
from mmw2s.registry import STARTS

ROOT = Path(__file__).parents[2] / 'configs'
STARTED = sorted(
    p.relative_to(ROOT).as_posix() for ending in ('started', 'grown')
    for p in ROOT.rglob(f'*_{ending}.py'))
#: What a recipe shortens where its run is shorter.
LENGTH = {'max_epochs', 'max_iters', 'train_cfg', 'param_scheduler'}


def load(name):
    return Config.fromfile(mmw2s.config(name))


def full(name):
    """The config that a recipe shortens."""
    name = re.sub('_(started|grown)', '', name)
    if name == 'detection/coco/w2s_retinanet_coco.py':
        name = 'w2s_retinanet_coco.py'  # a front door
    return load(name)


def length(cfg):
    return cfg.train_cfg.get('max_epochs') or cfg.train_cfg.max_iters


def test_there_is_one_for_each_task():
    assert {name.split('/')[0]
            for name in STARTED
            } == {'classification', 'detection', 'diffusion'}


@pytest.mark.parametrize('name', STARTED)
def test_a_recipe_starts_and_shortens_and_changes_nothing_else(name):
    recipe, other = load(name), full(name)
    changed = {k for k in recipe if recipe[k] != other.get(k)}
    assert changed == changed & LENGTH | {'default_hooks'}
    hook = recipe.default_hooks.w2s
    assert hook.pop('start')['type'] in ('Grow', 'Inherit')
    # As before, or nothing.
    assert hook.get('distill') in (other.default_hooks.w2s.pop(
        'distill', None), [])
    hook.pop('distill', None)
    for cfg in (recipe, other):
        cfg.default_hooks.checkpoint.pop('interval')  # as often as before
        cfg.default_hooks.w2s.pop('teacher')  # a cheaper one, or the same
    assert recipe.default_hooks == other.default_hooks


@pytest.mark.parametrize('name', STARTED)
def test_where_the_run_is_shorter_its_schedule_ends_with_it(name):
    recipe, other = load(name), full(name)
    share = length(recipe) / length(other)
    assert 0.4 < share <= 1
    (warmup, *decays), (long_warmup, *long_decays) = (
        cfg.param_scheduler for cfg in (recipe, other))
    assert warmup.end == pytest.approx(long_warmup.end / 4, abs=1)
    if share == 1:
        assert decays == long_decays
        return
    (decay, ), (long_decay, ) = decays, long_decays
    assert decay.end == decay.get('T_max', decay.end) == length(recipe)
    milestones = decay.get('milestones', [])
    expected = [share * m for m in long_decay.get('milestones', [])]
    assert milestones == [pytest.approx(m, abs=0.5) for m in expected]


@pytest.mark.parametrize('name', STARTED)
def test_the_student_takes_over_a_part_of_its_teacher(name):
    if 'diffusion' in name:
        pytest.importorskip('diffusers')
        pytest.importorskip('mmw2s.distillation.starts.growth.unet2d')
    cfg = load(name)
    hook = cfg.default_hooks.w2s
    model = dict(cfg.model)
    if cfg.get('data_preprocessor'):
        model['data_preprocessor'] = cfg.data_preprocessor
    student = build(model, scope=cfg.default_scope)
    teacher = FrozenTeacher.from_cfg(dict(hook.teacher, checkpoint=None))
    started = STARTS.build(hook.start).apply(student, teacher, None)
    given, now = teacher.model.state_dict(), student.state_dict()
    assert started.taken
    if hook.start.type == 'Inherit':
        assert 0 < started.share < 1
        assert all((now[key] == given[key]).all() for key in started.taken)


@pytest.fixture
def data(tmp_path):
    """BCCD and CIFAR-10 in miniature."""
    root = tmp_path / 'bccd'
    for split in ('train', 'val'):
        (root / split).mkdir(parents=True)
        write_pictures(root / split)
        content = json.loads((root / split / 'instances.json').read_text())
        for category, name in zip(content['categories'], ('WBC', 'RBC')):
            category['name'] = name
        content['categories'].append(dict(id=3, name='Platelets'))
        (root / 'annotations').mkdir(exist_ok=True)
        (root / 'annotations' / f'instances_{split}.json').write_text(
            json.dumps(content))
    folder = tmp_path / 'cifar10' / 'cifar-10-batches-py'
    folder.mkdir(parents=True)
    batch = dict(
        data=np.random.RandomState(0).randint(0, 255,
                                              (32, 3072)).astype(np.uint8),
        labels=[i % 10 for i in range(32)])
    names = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']
    for name in names:
        (folder / name).write_bytes(pickle.dumps(batch))
    classes = ('airplane automobile bird cat deer dog frog horse ship truck')
    (folder / 'batches.meta').write_bytes(
        pickle.dumps(dict(label_names=classes.split())))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    'detection/bccd/w2s_retinanet_r50_slim_bccd_started.py',
    'detection/bccd/w2s_faster_rcnn_r50_slim_bccd_started.py',
    'classification/w2s_resnet18-slim_1xb128_cifar10_started.py',
])
@pytest.mark.parametrize('alone', [False, True])
def test_a_recipe_runs_also_where_nothing_is_distilled(name, alone, data):
    cfg = load(name)
    path = str(data / ('bccd' if 'bccd' in name else 'cifar10')) + '/'
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = path
    if 'bccd' in name:
        cfg.val_evaluator.ann_file = f'{path}annotations/instances_val.json'
    cfg.optim_wrapper.type = 'OptimWrapper'  # a CPU may emulate bfloat16
    if cfg.train_cfg.get('max_iters'):
        cfg.train_dataloader.batch_size = 8
        cfg.train_cfg.update(max_iters=2, val_interval=1)
    else:
        cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.w2s.teacher.checkpoint = None
    cfg.default_hooks.w2s.update(
        dict(distill=[]) if alone else dict(
            distill=None, schedule=dict(type='Constant', value=1.)))
    cfg.work_dir = str(data / 'run')
    _, steps = train_watched(cfg)
    assert len(steps) == 2
    assert any('loss_kd' in key for key in steps[0]) != alone
    events = [row['event'] for row in rows(data / 'run')]
    assert events[:3] == ['teacher', 'start', 'stop' if alone else 'val']
    history = json.loads((data / 'run' / 'time_to_target.json').read_text())
    assert [row['iter'] for row in history['history']] == [1, 2]
