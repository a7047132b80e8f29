# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import os.path as osp
from pathlib import Path

import mmdet.models  # noqa: F401
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import (DATASETS, HOOKS, METRICS, MODELS,
                               OPTIM_WRAPPERS, init_default_scope)

import mmw2s
from mmw2s.distillation.recipes import default_distill

ROOT = Path(__file__).parents[2] / 'configs'
PIECES = sorted(
    p.relative_to(ROOT).as_posix() for p in ROOT.glob('_base_/**/*.py'))
CONFIGS = sorted({
    p.relative_to(ROOT).as_posix()
    for p in ROOT.rglob('*.py') if p.parent.name not in
    ('classification', 'diffusion') and 'ddpm' not in p.name
} - set(PIECES))
W2S = [name for name in CONFIGS if osp.basename(name).startswith('w2s_')]
EVERY_W2S = sorted(
    p.relative_to(ROOT).as_posix() for p in ROOT.rglob('w2s_*.py')
    if p.parent.name != '_base_')


def load(name):
    return Config.fromfile(mmw2s.config(name))


def hooks(cfg, kind):
    return [
        h for h in cfg.get('custom_hooks', [])
        if h['type'].split('.')[-1] == kind
    ]


def build(cfg):
    init_default_scope('mmdet')
    model = cfg.model.copy()
    model.backbone.init_cfg = None
    with torch.device('meta'):  # shapes without the time to fill them
        return MODELS.build(model)


@pytest.mark.parametrize('name', PIECES)
def test_piece_parses(name):
    assert load(name)


@pytest.mark.parametrize('name', CONFIGS)
def test_config_parses_and_its_model_builds(name):
    cfg = load(name)
    model = build(cfg)
    head = model.roi_head if cfg.model.get('roi_head') else model
    assert head.bbox_head.num_classes > 0
    # A run writes its config down and reads it again for its report.
    written = Config.fromstring(cfg.pretty_text, '.py')
    assert written.to_dict() == cfg.to_dict()


@pytest.mark.parametrize('name', CONFIGS)
def test_config_records_time_to_target(name):
    assert len(hooks(load(name), 'TimeToTargetHook')) == 1


@pytest.mark.parametrize('name', W2S)
def test_student_has_one_teacher_that_fits_it(name):
    student = load(name)
    hook, = hooks(student, 'WeakTeacherDistillHook')
    path = hook.teacher.config
    teacher = Config.fromfile(path) if osp.isabs(path) else load_zoo(path)
    assert not hooks(teacher, 'WeakTeacherDistillHook')
    assert teacher.model.backbone.depth < student.model.backbone.depth
    for part in ('bbox_head', 'rpn_head', 'roi_head', 'data_preprocessor'):
        assert teacher.model.get(part) == student.model.get(part)
    assert teacher.model.neck.num_outs == student.model.neck.num_outs


@pytest.mark.parametrize('name', EVERY_W2S)
def test_the_checkpoint_lies_where_training_the_teacher_writes_it(name):
    hook, = hooks(load(name), 'WeakTeacherDistillHook')
    if hook.teacher.checkpoint == 'auto':
        assert '::' in hook.teacher.config
        return
    folder = f'work_dirs/{Path(hook.teacher.config).stem}'
    if name == 'quickstart/w2s_retinanet_r50_digits.py':
        folder = 'work_dirs/quickstart/teacher'  # of tools/quickstart.sh
    assert osp.dirname(hook.teacher.checkpoint) == folder


def load_zoo(path):
    return Config.fromstring(f"_base_ = '{path}'", '.py')


@pytest.mark.parametrize('name', W2S)
def test_schedule_and_stop_fit_the_run(name):
    cfg = load(name)
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    loop = cfg.train_cfg
    total = loop.get('max_epochs') or loop.max_iters
    validations = total // loop.get('val_interval', 1)
    # So early an end must still let the rule see two validations before.
    assert hook.stop.latest * validations >= hook.stop.consecutive
    for scheduler in cfg.param_scheduler:
        if scheduler.get('by_epoch', True):
            assert scheduler.end == total
    if 'epoch_' in str(hook.teacher.checkpoint):
        teacher = Config.fromfile(hook.teacher.config)
        epochs = teacher.train_cfg.max_epochs
        epoch = int(hook.teacher.checkpoint.split('epoch_')[1][:-4])
        # An earlier one is there only where all are kept.
        kept = teacher.default_hooks.checkpoint.get('max_keep_ckpts')
        assert epoch == epochs or (epoch < epochs and kept == -1)


@pytest.mark.parametrize('name, zoo', [
    ('w2s_retinanet_coco.py', 'retinanet/retinanet_r50_fpn_1x_coco.py'),
    ('w2s_faster_rcnn_coco.py', 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'),
    ('w2s_faster_rcnn_r101_coco.py',
     'faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py'),
])
def test_main_config_adds_nothing_but_hooks_to_the_zoo_config(name, zoo):
    ours, theirs = load(name), load_zoo(f'mmdet::{zoo}')
    added = {
        key: value
        for key, value in ours.items() if theirs.get(key) != value
    }
    assert set(added) == {'custom_hooks'}
    assert set(theirs) <= set(ours)


@pytest.mark.parametrize('name', W2S)
def test_what_is_distilled_is_what_the_hook_would_choose(name):
    cfg = load(name)
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    model = build(cfg)
    assert hook.distill == default_distill(model, model)


def test_short_schedule_only_shortens():
    long, short = load('w2s_retinanet_coco.py'), load(
        'w2s_retinanet_coco_short.py')
    changed = {key for key in long if long[key] != short.get(key)}
    assert changed == {'train_cfg', 'param_scheduler'}
    assert short.train_cfg.max_epochs < long.train_cfg.max_epochs


@pytest.mark.parametrize('theirs, piece, full', [
    ('retinanet/retinanet_r50_fpn_1x_coco.py', '_base_/w2s_one_stage.py',
     'w2s_retinanet_coco.py'),
    ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', '_base_/w2s_two_stage.py',
     'w2s_faster_rcnn_coco.py'),
])
def test_a_config_of_ones_own_can_inherit_only_the_hook(
        tmp_path, theirs, piece, full):
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = ['mmdet::{theirs}',\n"
        f"  __import__('mmw2s').config('{piece}')]\n"
        'custom_hooks = _base_.custom_hooks\n'
        "custom_hooks[0].teacher = dict(config='t.py', checkpoint='t.pth')\n"
        "custom_hooks[1].targets = {'coco/bbox_mAP': [0.3]}\n")
    cfg = Config.fromfile(path)
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    assert hook.teacher == dict(config='t.py', checkpoint='t.pth')
    whole, = hooks(load(full), 'WeakTeacherDistillHook')
    assert hook.distill == whole.distill
    # The piece itself is as it was for the next one that inherits it.
    assert load(piece).custom_hooks[0].teacher != hook.teacher


def test_the_hooks_can_be_inherited_beside_a_base_with_imports(tmp_path):
    (tmp_path /
     'theirs.py').write_text("custom_imports = dict(imports=['json'])\n")
    pieces = [p for p in PIECES if osp.basename(p).startswith('w2s_')]
    assert len(pieces) == 4
    for piece in pieces:
        path = tmp_path / 'mine.py'
        path.write_text("_base_ = ['theirs.py', "
                        f"__import__('mmw2s').config('{piece}')]\n")
        cfg = Config.fromfile(path)
        assert cfg.custom_imports == dict(imports=['json'])
        assert len(hooks(cfg, 'WeakTeacherDistillHook')) == 1


def types_in(node):
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield node['type']
        node = node.values()
    if not isinstance(node, str) and hasattr(node, '__iter__'):
        for child in node:
            yield from types_in(child)


@pytest.mark.parametrize('name', EVERY_W2S)
def test_a_stock_train_script_finds_what_is_ours(name):
    cfg = load(name)
    if 'mmw2s' in cfg.get('custom_imports', {}).get('imports', []):
        return
    # Then only the hooks are ours, and their types name the package.
    rest = cfg.to_dict()
    rest['custom_hooks'] = [
        h for h in cfg.custom_hooks if not h['type'].startswith('mmw2s.')
    ]
    ours = {
        kind
        for registry in (DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPERS)
        for kind, cls in registry.module_dict.items()
        if cls.__module__.startswith('mmw2s.')
    }
    assert not ours & set(types_in(rest))


@pytest.mark.parametrize('name', ['bccd', 'coco_subset'])
def test_pictures_of_the_real_sets_are_found(name):
    data = os.environ.get('MMW2S_DATA')
    if not data:
        pytest.skip('MMW2S_DATA is not set')
    config = next(c for c in W2S if c.startswith(name + '/'))
    cfg = load(config).val_dataloader.dataset
    cfg.data_root = osp.join(data, 'bccd' if name == 'bccd' else 'coco')
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg)
    assert len(dataset) == dict(bccd=87, coco_subset=308)[name]
    assert max(dataset[0]['inputs'].shape[1:]) <= 320
