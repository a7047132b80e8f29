# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A student that begins with weights of its teacher, in a run."""
import gc
import json
import os
import weakref

import pytest
import torch
from builders import build, save, teacher_field
from mmengine.hooks import Hook
from ranks import run_ranks
from runs import assert_same_weights, find, rows, train
from toys import retinanet, run_config

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.starts import Inherit
from mmw2s.engine import WeakTeacherDistillHook
from mmw2s.records.events import check_rows
from mmw2s.records.files import FILENAME

TEACHER = retinanet(18, channels=8)
STUDENT = retinanet(50, channels=8)
HEAD = 'bbox_head.retina_cls.weight'
NEVER = dict(type='At', iter=10**6)


class FirstWeights(Hook):
    """Those of the student in its first step."""

    priority = 'LOWEST'
    weights = None

    def before_train_iter(self, runner, **kwargs):
        if self.weights is None:
            self.weights = {
                k: v.clone()
                for k, v in runner.model.state_dict().items()
            }


@pytest.fixture
def config(pictures, tmp_path):
    teacher = teacher_field(TEACHER, tmp_path / 'teacher.pth')

    def make(start=dict(type='Inherit'), epochs=1, hooks=(), **fields):
        hook = dict(
            type='WeakTeacherDistillHook',
            teacher=teacher,
            stop=NEVER,
            start=start)
        return run_config(
            pictures,
            tmp_path / 'run',
            epochs=epochs,
            model=STUDENT,
            hooks=[hook, *hooks],
            **fields)

    return make


def weights_of(config):
    return torch.load(
        config.custom_hooks[0].teacher.checkpoint,
        weights_only=False)['state_dict']


def test_the_first_step_sees_the_teachers_weights(config, tmp_path):
    cfg, seen = config(), FirstWeights()
    train(cfg, seen)
    given = weights_of(cfg)
    for name in (HEAD, 'backbone.conv1.weight'):
        assert torch.equal(seen.weights[name], given[name])
    row, = rows(tmp_path / 'run', 'start')
    assert row['type'] == 'Inherit' and row['iter'] == 0
    assert 0 < row['share'] < 1 and row['tensors'] > 5


def test_a_start_that_is_given_as_a_class_is_on_record_by_its_name(
        config, tmp_path):
    train(config(start=dict(type=Inherit)))
    row, = rows(tmp_path / 'run', 'start')
    assert row['type'] == 'Inherit'


def test_without_it_the_student_begins_as_the_run_initializes_it(
        config, tmp_path):
    cfg, seen = config(start=None), FirstWeights()
    train(cfg, seen)
    assert not torch.equal(seen.weights[HEAD], weights_of(cfg)[HEAD])
    assert rows(tmp_path / 'run', 'start') == []


def test_a_resumed_run_is_not_started_again(config, tmp_path):
    runner = train(config())
    trained = runner.model.state_dict()[HEAD].clone()
    seen = FirstWeights()
    train(config(epochs=2, resume=True), seen)
    assert torch.equal(seen.weights[HEAD], trained)
    assert len(rows(tmp_path / 'run', 'start')) == 1


def test_an_averaged_model_follows(config):
    ema = dict(type='EMAHook', momentum=0.5)
    cfg, seen = config(hooks=[ema]), FirstWeights()
    runner = train(cfg, seen)
    averaged = find(runner, type(find_ema(runner))).ema_model
    assert int(averaged.steps) > 0
    # Began from scratch, it would still be near the first initialization.
    gap = (averaged.module.state_dict()[HEAD] - weights_of(cfg)[HEAD]).abs()
    assert gap.max() < 0.1


def find_ema(runner):
    return next(h for h in runner.hooks if type(h).__name__ == 'EMAHook')


def test_weights_to_load_and_a_start_are_not_both_taken(config, tmp_path):
    path = save(build(STUDENT, 3), tmp_path / 'student.pth')
    with pytest.raises(ValueError, match='load_from .*leave one of the two'):
        train(config(load_from=str(path)))


def test_a_start_of_nothing_leaves_no_record_of_a_run(config, tmp_path):
    with pytest.raises(ValueError, match='no module "nek"'):
        train(config(start=dict(type='Inherit', modules=['nek'])))


@pytest.mark.parametrize('start, message', [
    (dict(type='Inherits'), 'did you mean "Inherit"'),
    (dict(type='Inherit', module='neck'), 'has no field "module"'),
    ('Inherit', 'a start should be a dict'),
])
def test_wrong_fields_are_refused_at_once(start, message):
    with pytest.raises((KeyError, TypeError), match=message):
        WeakTeacherDistillHook('teacher.py', start=start)


class TestAlone:
    """``distill=[]``: the teacher gives its weights, and nothing else."""

    @pytest.fixture
    def alone(self, config):

        def make(**fields):
            cfg = config(**fields)
            cfg.custom_hooks[0].update(distill=[], stop=None)
            return cfg

        return make

    def test_it_runs_as_a_run_that_began_with_these_weights(
            self, alone, pictures, tmp_path):
        cfg, seen = alone(), FirstWeights()
        runner = train(cfg, seen)
        path = tmp_path / 'started.pth'
        torch.save(dict(state_dict=seen.weights), path)
        plain = train(
            run_config(
                pictures,
                tmp_path / 'plain',
                epochs=1,
                model=STUDENT,
                hooks=[],
                load_from=str(path)))
        assert_same_weights(runner, plain)

    def test_no_teacher_runs_and_none_is_left(self, alone, monkeypatch):
        monkeypatch.setattr(
            'mmw2s.distillation.teacher_outputs.TeacherOutputs._run',
            lambda *args: pytest.fail('the teacher ran'))
        monkeypatch.setattr('mmw2s.engine.session.score_teacher',
                            lambda *args: pytest.fail('scored'))
        teachers = []
        build = FrozenTeacher.from_cfg.__func__

        def building(cls, *args):
            teacher = build(cls, *args)
            teachers.append(weakref.ref(teacher))
            return teacher

        monkeypatch.setattr(FrozenTeacher, 'from_cfg', classmethod(building))
        runner = train(alone())
        gc.collect()
        assert len(teachers) == 1 and teachers[0]() is None
        assert not any('kd' in key for key in runner.message_hub.log_scalars)

    def test_it_is_on_record_and_not_done_again(self, alone, tmp_path):
        train(alone())
        seen = FirstWeights()
        runner = train(alone(epochs=2, resume=True), seen)
        assert [row['event'] for row in rows(tmp_path / 'run')
                ] == ['teacher', 'start', 'stop']
        assert runner.iter > 2

    def test_fields_without_effect_are_named(self, alone, monkeypatch):
        texts = []
        monkeypatch.setattr('mmw2s.engine.session.print_log',
                            lambda text, **_: texts.append(text))
        train(alone())
        assert texts[-1].endswith('nothing is distilled (distill=[]).')
        cfg = alone()
        cfg.custom_hooks[0].update(stop=NEVER, every=2)
        train(cfg)
        assert texts[-1].endswith(', so that stop, every have no effect.')

    def test_without_a_start_it_is_refused(self, alone):
        cfg = alone(start=None)
        with pytest.raises(ValueError, match='at least one knowledge'):
            train(cfg)


class TestBesideItsBaseline:
    """The first validation after a start, and the baseline's on record."""

    @pytest.fixture
    def told(self, monkeypatch):
        """What is told of the comparison: each run has a logger of its own."""
        texts = []
        monkeypatch.setattr('mmw2s.engine.start_watch.print_log',
                            lambda text, **_: texts.append(text))
        return texts

    @pytest.fixture
    def beside(self, config, pictures):
        """Trains a started run beside a baseline of a given score."""

        def run(score, *hooks, alone=False, **fields):
            cfg = config(hooks=[dict(type='TimeToTargetHook')], **fields)
            # Distilled to the end, or not at all.
            cfg.custom_hooks[0].update(
                dict(distill=[], stop=None) if alone else dict(
                    schedule=dict(type='Constant', value=1.)))
            write_baseline(f'{cfg.work_dir}_baseline', score)
            return train(cfg, *hooks)

        return run

    def test_a_start_that_harms_is_told_of_once(self, beside, tmp_path, told):
        beside(.9, epochs=2)
        text, = told
        assert 'start seems to harm' in text and 'had 0.9' in text
        row, = rows(tmp_path / 'run', 'baseline')
        validation = rows(tmp_path / 'run', 'val')[0]
        assert row['iter'] == validation['iter'] == 4
        assert row['student'] == validation['metrics']['coco/bbox_mAP']
        assert row['baseline'] == .9

    def test_one_that_does_not_is_on_record_too(self, beside, tmp_path, told):
        beside(0.)
        assert rows(tmp_path / 'run', 'baseline')[0]['baseline'] == 0.
        assert 'harm' not in told[0]

    @pytest.mark.parametrize('alone', [False, True])
    def test_a_resumed_run_does_not_tell_again(self, beside, tmp_path, told,
                                               alone):
        beside(.9, alone=alone)
        beside(.9, alone=alone, epochs=3, resume=True)
        assert len(told) == 1
        found = rows(tmp_path / 'run')
        assert [r['iter'] for r in found if r['event'] == 'baseline'] == [4]
        # It still is a record that a run can have written.
        check_rows(found, 'the record')

    @pytest.mark.parametrize('alone', [False, True])
    def test_a_run_cut_before_its_first_validation_tells_once_resumed(
            self, beside, tmp_path, told, alone):
        with pytest.raises(KeyboardInterrupt):
            beside(.9, CutBeforeValidation(), alone=alone)
        assert told == []
        beside(.9, alone=alone, epochs=2, resume=True)
        row, = rows(tmp_path / 'run', 'baseline')
        assert row['iter'] == 4 and len(told) == 1

    def test_without_a_start_nothing_is_compared(self, beside, tmp_path, told):
        beside(.9, start=None)
        assert rows(tmp_path / 'run', 'baseline') == [] and told == []


class CutBeforeValidation(Hook):
    """The process ends between a checkpoint and its validation."""

    priority = 'VERY_HIGH'

    def before_val(self, runner):
        raise KeyboardInterrupt


def write_baseline(folder, score):
    os.makedirs(folder, exist_ok=True)
    row = dict(
        epoch=1.,
        iter=4,
        train_seconds=1.,
        wall_seconds=1.,
        metrics={'coco/bbox_mAP': score})
    with open(os.path.join(folder, FILENAME), 'w') as file:
        json.dump(dict(schema_version=1, history=[row]), file)


@pytest.mark.slow
def test_two_ranks_begin_with_the_same_weights(config, tmp_path):
    cfg = config()
    cfg.launcher = 'pytorch'
    cfg.env_cfg = dict(dist_cfg=dict(backend='gloo'))
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel', device_ids=None)
    cfg.custom_hooks.append(dict(type='Save'))
    write_baseline(f'{cfg.work_dir}_baseline', .9)
    cfg.dump(tmp_path / 'cfg.py')
    script = '''
import sys
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

import mmw2s
from mmw2s.engine.launch import shut_down_processes

@HOOKS.register_module()
class Save(Hook):

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            torch.save(runner.model.module.state_dict(),
                       f'{sys.argv[2]}_{dist.get_rank()}.pth')

dist.init_process_group('gloo')
cfg = Config.fromfile(sys.argv[1])
Runner.from_cfg(cfg).train()
shut_down_processes()
'''
    for code, text in run_ranks(script, str(tmp_path / 'cfg.py'),
                                str(tmp_path / 'rank')):
        assert code == 0, text[-3000:]
    given = weights_of(cfg)
    one, other = (
        torch.load(tmp_path / f'rank_{i}.pth', weights_only=True)
        for i in range(2))
    assert torch.equal(one[HEAD], given[HEAD])
    assert all(torch.equal(one[key], other[key]) for key in one)
    row, = rows(tmp_path / 'run', 'baseline')  # told by the first of them
    assert row['baseline'] == .9


def test_a_compiled_student_begins_with_them_too(config):
    cfg, seen = config(compile=dict(backend='eager')), FirstWeights()
    train(cfg, seen)
    given = weights_of(cfg)
    assert any(torch.equal(w, given[HEAD]) for w in seen.weights.values())
