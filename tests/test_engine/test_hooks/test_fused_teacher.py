# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A teacher whose BatchNorm is folded, through the Runner."""
import pytest
import torch
from builders import teacher_field
from runs import assert_same_weights, find, rows, train, train_watched
from tiny_classifiers import classifier, run_config
from torch.nn.modules.batchnorm import _BatchNorm

from mmw2s.engine import WeakTeacherDistillHook


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return teacher_field(
        classifier(8),
        tmp_path_factory.mktemp('teacher') / 'teacher.pth',
        scope='mmpretrain')


def config(work_dir, teacher, **fields):
    hook = dict(
        type='WeakTeacherDistillHook',
        teacher=teacher,
        distill=[
            dict(
                knowledge=dict(type='HiddenFeatures'),
                loss=dict(type='PKDLoss'))
        ],
        schedule=dict(type='Constant', value=1.),
        stop=dict(
            type='SurpassTeacher', metric='accuracy/top1', latest=None))
    return run_config(work_dir, 2, [{**hook, **fields}])


def norms_of(model):
    return sum(isinstance(m, _BatchNorm) for m in model.modules())


def norms(runner, outputs):
    hook = find(runner, WeakTeacherDistillHook)
    return norms_of(hook.distiller.teacher.model)


def test_it_is_scored_hashed_and_taken_over_as_it_was_given(teacher, tmp_path):
    records = {}
    for fuse in (True, False):
        cfg = config(
            tmp_path / f'{fuse}',
            dict(teacher, fuse=fuse),
            start=dict(type='Inherit'))
        cfg.optim_wrapper.optimizer.lr = 0.
        runner, seen = train_watched(cfg, norms)
        assert seen[0] == (0 if fuse else norms_of(runner.model))
        records[fuse], = rows(tmp_path / f'{fuse}', 'teacher')
        started = runner.model.state_dict()
        given = torch.load(teacher['checkpoint'])['state_dict']
        for name in ('backbone.conv1.weight', 'backbone.layer2.0.bn1.weight'):
            assert torch.equal(started[name], given[name])
    for key in ('weights_hash', 'metrics'):
        assert records[True][key] == records[False][key]


def test_a_resumed_run_is_the_unbroken_one(teacher, tmp_path):
    forever = dict(stop=dict(type='At', iter=10**6))
    teacher = dict(teacher, fuse=True)
    whole = train(config(tmp_path, teacher, **forever))
    cut = config(tmp_path, teacher, **forever)
    cut.resume, cut.load_from = True, str(tmp_path / 'epoch_1.pth')
    resumed, seen = train_watched(cut, norms)
    assert seen == [0] * 4
    assert_same_weights(whole, resumed)
