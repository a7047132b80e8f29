# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Trained adapters through the Runner."""
import gc
import weakref

import pytest
import torch
from builders import teacher_field
from mmengine.hooks import Hook
from runs import train
from tiny_classifiers import classifier, run_config

import mmw2s  # noqa: F401

KEY = 'loss_kd_hidden'


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """The hook's `teacher` field; it has half of the student's channels."""
    return teacher_field(
        classifier(4),
        tmp_path_factory.mktemp('teacher') / 'teacher.pth',
        scope='mmpretrain')


def config(work_dir, teacher, stop=dict(type='At', iter=10**6), **overrides):
    hook = dict(
        type='WeakTeacherDistillHook',
        teacher=teacher,
        distill=[
            dict(
                knowledge=dict(type='HiddenFeatures', adapter='trained'),
                loss=dict(type='PKDLoss'))
        ],
        schedule=dict(type='Constant', value=1.),
        stop=stop)
    return run_config(work_dir, 3, [hook], **overrides)


def load(work_dir, name):
    return torch.load(work_dir / name, weights_only=False)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_resumed_run_is_the_unbroken_one(teacher, tmp_path):
    whole = train(config(tmp_path, teacher)).model.state_dict()
    adapters = load(tmp_path, 'epoch_3.pth')['w2s'][KEY]['adapters']
    assert adapters[0]['weights'][0].shape == (32, 64, 1, 1)
    cut = config(tmp_path, teacher, resume=True)
    cut.load_from = str(tmp_path / 'epoch_1.pth')
    assert_same(train(cut).model.state_dict(), whole)
    assert_same(
        load(tmp_path, 'epoch_3.pth')['w2s'][KEY]['adapters'], adapters)


def test_the_students_checkpoint_and_optimizer_have_nothing_of_them(
        teacher, tmp_path):
    train(config(tmp_path / 'w2s', teacher))
    train(run_config(tmp_path / 'plain', 3))
    distilled, plain = (
        load(tmp_path / name, 'epoch_3.pth') for name in ('w2s', 'plain'))
    assert distilled['state_dict'].keys() == plain['state_dict'].keys()
    assert distilled['optimizer']['param_groups'] == \
        plain['optimizer']['param_groups']
    assert set(distilled) - set(plain) == {'w2s'}


def test_after_the_stop_they_are_gone(teacher, tmp_path):
    alive = []

    class Look(Hook):

        def after_train_iter(self, runner, *args, **kwargs):
            hook = next(h for h in runner.hooks if hasattr(h, 'distiller'))
            if runner.iter == 0:
                term, = hook.distiller.terms
                alive.append(weakref.ref(term.knowledge.adapters))

    train(config(tmp_path, teacher, dict(type='At', iter=6)), Look())
    gc.collect()
    assert alive[0]() is None
    assert KEY in load(tmp_path, 'epoch_1.pth')['w2s']
    assert KEY not in load(tmp_path, 'epoch_2.pth')['w2s']


def test_clipping_and_accumulation_in_16_bits_are_the_students_alone(
        teacher, tmp_path):
    steps = []
    for name, fields in (('plain', {}), ('clipped', {
            'optim_wrapper.clip_grad':
            dict(max_norm=1e-9),
            'optim_wrapper.accumulative_counts':
            4
    })):
        cfg = config(tmp_path / name, teacher,
                     **{'optim_wrapper.type': 'BF16OptimWrapper'}, **fields)
        # Of the same student, whatever its gradients are made of.
        cfg.optim_wrapper.optimizer.lr = 0.
        train(cfg)
        adapter = load(tmp_path / name, 'epoch_3.pth')['w2s'][KEY]
        steps.append(adapter['adapters'][0])
    assert steps[0]['optimizer']['state'][0]['step'] == 12
    assert_same(*steps)
