# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The curricula of the guide, and the network and data of the paper."""
import re
from pathlib import Path

import pytest
import toys
from builders import teacher_field
from mmengine.config import Config
from runs import rows, train, train_watched
from tiny_classifiers import classifier
from tiny_classifiers import run_config as classifier_run

import mmw2s

GUIDE = Path(__file__).parents[3] / 'docs' / 'guides' / 'stages.md'


def shown(begin):
    """``distill`` of the guide's block that begins with some text."""
    blocks = re.findall(r'^```python\n(.*?)^```', GUIDE.read_text(),
                        re.DOTALL | re.MULTILINE)
    block = next(b for b in blocks if begin in b)
    space = {}
    exec(block, space)
    return space['distill']


def hook(teacher, distill):
    return dict(
        type='WeakTeacherDistillHook',
        teacher=teacher,
        distill=distill,
        schedule=dict(type='Constant', value=1.),
        stop=dict(type='At', iter=10**6))


def acting(runner, outputs):
    return [
        key[len('loss_kd_'):] for key, value in outputs.items()
        if key.startswith('loss_kd_') and value.item()
    ]


def stages_in_order(seen, names):
    assert all(len(now) == 1 for now in seen)
    order = [now[0] for now in seen]
    assert list(dict.fromkeys(order)) == names
    assert order == sorted(order, key=names.index)


def test_the_curriculum_of_a_classifier_goes_stage_by_stage(tmp_path):
    teacher = teacher_field(
        classifier(4), tmp_path / 'teacher.pth', scope='mmpretrain')
    cfg = classifier_run(tmp_path, 5,
                         [hook(teacher, shown('backbone.layer{i}'))])
    _, seen = train_watched(cfg, acting)
    stages_in_order(seen, [*(f'layer{i}' for i in (1, 2, 3, 4)), 'logits'])
    ended = [row['entry'] for row in rows(tmp_path, 'entry_stop')]
    assert ended == [f'loss_kd_layer{i}' for i in (1, 2, 3, 4)]


@pytest.mark.parametrize('begin, names', [
    ("name=f'c{i + 1}'", ['c2', 'c3', 'c4', 'c5', 'cls']),
    ("type='FPNFeatures'),\n        loss=dict(type='PKDLoss', "
     'loss_weight=10.)', ['fpn', 'cls']),
])
def test_the_entries_of_a_detector_take_turns(tmp_path, pictures, begin,
                                              names):
    teacher = teacher_field(toys.retinanet(18), tmp_path / 'teacher.pth')
    cfg = toys.run_config(
        pictures,
        tmp_path,
        epochs=7,
        hooks=[hook(teacher, shown(begin))],
        model=toys.retinanet(18))
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    _, seen = train_watched(cfg, acting)
    stages_in_order(seen, names)


@pytest.fixture
def parity(tmp_path):
    """The config of a side, short and small, with a teacher of its own."""

    def make(name):
        cfg = Config.fromfile(mmw2s.config(f'curriculum/{name}'))
        cfg.merge_from_dict({
            'work_dir': str(tmp_path / name),
            'train_cfg.max_iters': 12,
            'train_cfg.val_interval': 6,
            'train_dataloader.batch_size': 8,
            'train_dataloader.dataset.length': 96,
            'log_level': 'WARNING'
        })
        return cfg

    teacher = make('two-layer-256_1xb128_parity.py')
    teacher.default_hooks.checkpoint.interval = 12
    train(teacher)
    return lambda name: (make(name), f'{teacher.work_dir}/iter_12.pth')


@pytest.mark.parametrize('way, names', [
    ('one-shot', [['logits']] * 12),
    ('extraction', [['hidden']] * 4 + [['logits']] * 8),
])
def test_the_configs_of_the_parity_distill_as_they_say(parity, way, names):
    cfg, checkpoint = parity(f'w2s_two-layer-64_1xb128_parity_{way}.py')
    w2s = cfg.default_hooks.w2s
    w2s.teacher.checkpoint = checkpoint
    if way == 'extraction':
        w2s.distill[0].schedule.end = w2s.distill[1].schedule.begin = 4
    _, seen = train_watched(
        cfg, lambda runner, outputs:
        (acting(runner, outputs), outputs['loss'].item(),
         sum(v.item() for k, v in outputs.items() if 'kd' in k)))
    assert [now for now, *_ in seen] == names
    assert 'loss_kd_hidden' not in seen[-1]
