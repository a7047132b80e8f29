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
from mmw2s.distillation.recipes import (default_distill, default_schedule,
                                        default_stop)
from mmw2s.distillation.starts.grow import grow_out_of
from mmw2s.distillation.teacher_config import build_model
from mmw2s.registry import STOP_RULES
from mmw2s.utils.hook_configs import hook_configs as hooks

ROOT = Path(__file__).parents[2] / 'configs'
PIECES = sorted(
    p.relative_to(ROOT).as_posix() for p in ROOT.glob('_base_/**/*.py'))
CONFIGS = sorted({
    p.relative_to(ROOT).as_posix()
    for p in ROOT.rglob('*.py')
    if p.parent.name not in ('classification', 'curriculum', 'diffusion',
                             'masked', 'studies') and 'ddpm' not in p.name
} - set(PIECES))
W2S = [name for name in CONFIGS if osp.basename(name).startswith('w2s_')]
EVERY_W2S = sorted(
    p.relative_to(ROOT).as_posix() for p in ROOT.rglob('w2s_*.py')
    if p.parent.name != '_base_')
# What the results in docs/results.md were measured with.
ONE_STAGE = [
    dict(
        knowledge=dict(type='FPNFeatures'),
        loss=dict(type='PKDLoss', loss_weight=10.)),
    dict(
        knowledge=dict(type='DenseHeadOutputs'),
        loss=dict(type='QualityFocalKDLoss', loss_weight=1.))
]
GFL = [
    dict(
        knowledge=dict(type='FPNFeatures'),
        loss=dict(type='PKDLoss', loss_weight=3.333)),
    dict(
        knowledge=dict(type='DenseHeadOutputs'),
        loss=dict(type='QualityFocalKDLoss', loss_weight=0.1))
]
TWO_STAGE = [
    dict(
        knowledge=dict(type='FPNFeatures'),
        loss=dict(type='PKDLoss', loss_weight=6.)),
    dict(
        knowledge=dict(type='RPNOutputs'),
        loss=dict(type='QualityFocalKDLoss', loss_weight=1.)),
    dict(
        knowledge=dict(type='RoIHeadOutputs'),
        loss=dict(type='KDLoss', temperature=1., loss_weight=1.))
]
# Where tools/quickstart.sh trains the teachers of its students.
IN_QUICKSTART = {
    'w2s_retinanet_r50_digits.py': 'work_dirs/quickstart/teacher',
    'w2s_retinanet_r50_digits_grown.py': 'work_dirs/quickstart/small_teacher'
}
FULL_TO_15_NONE_FROM_30_PERCENT = dict(
    type='WarmupHoldDecay', warmup=0.02, hold=0.13, decay=0.15, unit='run')


def load(name):
    return Config.fromfile(mmw2s.config(name))


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
    weak, strong = teacher.model.backbone, student.model.backbone
    assert weak.depth < strong.depth or weak.blocks == (1, 1, 1, 1)
    if hook.teacher.config.endswith('faster_rcnn_r18_slim_bccd_160.py'):
        # It learns on smaller images, with smaller anchors, which weigh
        # nothing.
        for cfg in (teacher, student):
            cfg.model.rpn_head.anchor_generator.pop('octave_base_scale')
            cfg.model.roi_head.bbox_roi_extractor.pop('finest_scale')
    if hook.get('start', {}).get('type') == 'Grow':  # its heads may be narrow
        assert grow_out_of(build_model(student), build_model(teacher))
        assert (
            teacher.model.data_preprocessor == student.model.data_preprocessor)
        return
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
    folder = IN_QUICKSTART.get(osp.basename(name), folder)
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
    stop = STOP_RULES.build(hook.get('stop') or default_stop(True, 1))
    assert (stop.consecutive, stop.latest) == (2, 0.5)
    # So early an end must still let the rule see two validations before.
    assert stop.latest * validations >= stop.consecutive
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
    ('detection/coco/w2s_faster_rcnn_r101_coco.py',
     'faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py'),
])
def test_main_config_adds_nothing_but_hooks_to_the_zoo_config(name, zoo):
    cfg, zoo_cfg = load(name), load_zoo(f'mmdet::{zoo}')
    added = {
        key: value
        for key, value in cfg.items() if zoo_cfg.get(key) != value
    }
    assert set(added) == {'default_hooks'}
    assert set(zoo_cfg) <= set(cfg)
    assert zoo_cfg.default_hooks.items() <= cfg.default_hooks.items()


@pytest.mark.parametrize('name', W2S)
def test_what_the_hook_chooses_is_what_was_measured(name):
    cfg = load(name)
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    # A start alone distills nothing; COCO's have scores too, as in the paper.
    distill = hook.get('distill')
    assert distill in (None, [], dict(full={}))
    assert bool(distill) == ('coco' in name)
    assert distill != [] or hook.start
    assert not {'schedule', 'task_weight'} & set(hook)
    model = build(cfg)
    full = TWO_STAGE if cfg.model.get('roi_head') else GFL if \
        cfg.model.type == 'GFL' else ONE_STAGE
    assert default_distill(model, model) == full[:1]
    assert default_distill(model, model, full=True) == full
    assert default_schedule(model) == FULL_TO_15_NONE_FROM_30_PERCENT


def test_short_schedule_only_shortens():
    long, short = load('w2s_retinanet_coco.py'), load(
        'detection/coco/w2s_retinanet_coco_short.py')
    changed = {key for key in long if long[key] != short.get(key)}
    assert changed == {'train_cfg', 'param_scheduler'}
    assert short.train_cfg.max_epochs < long.train_cfg.max_epochs


@pytest.mark.parametrize(
    'kind', ['one_stage', 'two_stage', 'classification', 'diffusion'])
def test_an_old_config_still_inherits_the_hooks_by_position(tmp_path, kind):
    (tmp_path / 'base.py').write_text(
        "custom_imports = dict(imports=['json'])\ndefault_hooks = dict()\n")
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = ['base.py',\n"
        f"  __import__('mmw2s').config('_base_/w2s_{kind}.py')]\n"
        'custom_hooks = _base_.custom_hooks\n'
        "custom_hooks[0].teacher = dict(config='t.py', checkpoint='t.pth')\n"
        "custom_hooks[1].targets = {'coco/bbox_mAP': [0.3]}\n")
    with pytest.warns(DeprecationWarning, match='_base_/w2s.py'):
        cfg = Config.fromfile(path)
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    assert hook.teacher == dict(config='t.py', checkpoint='t.pth')
    timing, = hooks(cfg, 'TimeToTargetHook')
    assert timing.targets == {'coco/bbox_mAP': [0.3]}
    assert cfg.custom_imports == dict(imports=['json'])


def test_the_hooks_by_position_are_there_for_the_python_style():
    cfg = Config.fromfile(
        osp.join(osp.dirname(mmw2s.__file__), 'configs', 'w2s.py'))
    assert [hook['type'].__name__ for hook in cfg.custom_hooks
            ] == ['WeakTeacherDistillHook', 'TimeToTargetHook']


def types_in(node):
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield node['type']
        node = node.values()
    if not isinstance(node, str) and hasattr(node, '__iter__'):
        for child in node:
            yield from types_in(child)


@pytest.mark.parametrize('name', EVERY_W2S)
def test_a_stock_train_script_finds_the_hooks_of_mmw2s(name):
    cfg = load(name)
    if 'mmw2s' in cfg.get('custom_imports', {}).get('imports', []):
        return
    # Then only the hooks are of mmw2s, and their types name the package.
    rest = cfg.to_dict()
    rest['default_hooks'] = {
        name: hook
        for name, hook in cfg.default_hooks.items()
        if not hook['type'].startswith('mmw2s.')
    }
    of_mmw2s = {
        kind
        for registry in (DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPERS)
        for kind, cls in registry.module_dict.items()
        if cls.__module__.startswith('mmw2s.')
    }
    assert not of_mmw2s & set(types_in(rest))


@pytest.mark.parametrize('name, root, images', [
    ('bccd/w2s_retinanet_r50_slim_bccd.py', 'bccd', 87),
    ('coco/w2s_retinanet_r50_coco_subset.py', 'coco', 308),
])
def test_images_of_the_real_sets_are_found(name, root, images):
    data = os.environ.get('MMW2S_DATA')
    if not data:
        pytest.skip('MMW2S_DATA is not set')
    cfg = load(f'detection/{name}').val_dataloader.dataset
    cfg.data_root = osp.join(data, root)
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg)
    assert len(dataset) == images
    assert max(dataset[0]['inputs'].shape[1:]) <= 320
