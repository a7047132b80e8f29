# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import gc
import json
import os.path as osp
import random
import re
import shutil
import uuid
import weakref

import numpy as np
import pytest
import torch
from entries import CLS, FPN
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODELS
from mmengine.runner import Runner
from runs import assert_same_weights, rows, train, train_watched
from toys import retinanet, run_config

from mmw2s.distillation.stop_rules import At
from mmw2s.engine import WeakTeacherDistillHook
from mmw2s.records.events import check_rows
from mmw2s.records.files import EVENTS
from mmw2s.registry import STOP_RULES

NEVER = dict(type='At', iter=10**6)


@pytest.fixture(scope='module')
def teacher(pictures, tmp_path_factory):
    """The hook's `teacher` field, with a checkpoint MMEngine wrote."""
    work_dir = tmp_path_factory.mktemp('teacher')
    train(run_config(pictures, work_dir, epochs=2, model=retinanet(18)))
    return dict(
        config=dict(default_scope='mmdet', model=retinanet(18)),
        checkpoint=str(work_dir / 'epoch_2.pth'))


def hook(teacher, **fields):
    """At full strength all along, unless a test says otherwise."""
    fields.setdefault('schedule', dict(type='Constant', value=1.))
    return dict(type='WeakTeacherDistillHook', teacher=teacher, **fields)


# -- the plug-and-play form ---------------------------------------------


@pytest.mark.parametrize('fields, losses', [
    (dict(), {'loss_kd_fpn'}),
    (dict(distill='full'), {'loss_kd_fpn', 'loss_kd_cls'}),
])
def test_a_teacher_alone_distills_features_and_in_full_scores(
        pictures, teacher, tmp_path, fields, losses):
    _, seen = train_watched(
        run_config(
            pictures,
            tmp_path,
            hooks=[
                dict(type='WeakTeacherDistillHook', teacher=teacher, **fields)
            ]), lambda runner, outputs: {k
                                         for k in outputs if 'kd' in k})
    assert seen[0] == losses
    assert seen[-1] == set()  # faded by 30 % of the run


def test_the_choice_is_logged_as_a_config_that_can_be_pasted(
        pictures, teacher, tmp_path):
    cfg = run_config(
        pictures,
        tmp_path,
        epochs=1,
        hooks=[dict(type='WeakTeacherDistillHook', teacher=teacher)])
    cfg.log_level = 'INFO'
    runner = train(cfg)
    log = open(osp.join(runner.log_dir, f'{runner.timestamp}.log')).read()
    text = log[log.index('In full:') + len('In full:'):]
    text = re.split(r'\n\d{4}/\d\d/\d\d ', text)[0]
    space = {}
    exec(text, space)
    hook = space['default_hooks']['w2s']
    assert hook['stop']['type'] == 'SurpassTeacher'
    assert hook['distill'][0]['loss']['type'] == 'PKDLoss'
    assert HOOKS.build(hook).fields.distill == hook['distill']


def test_the_hook_is_found_by_bare_and_by_full_name():
    assert HOOKS.get('WeakTeacherDistillHook') is WeakTeacherDistillHook
    assert HOOKS.get('mmw2s.WeakTeacherDistillHook') is WeakTeacherDistillHook


# -- promise 1: without it, bit for bit ---------------------------------


def test_at_strength_0_training_is_bit_equal_and_the_teacher_never_runs(
        pictures, teacher, tmp_path, monkeypatch):
    plain = train(run_config(pictures, tmp_path / 'plain'))

    def forbidden(*args, **kwargs):
        raise AssertionError('the teacher ran')

    # From iteration 1000 on, so the schedule is 0 now but not for good.
    later = dict(
        type='Linear', start=0., end=1., begin=1000, length=10, unit='iter')
    monkeypatch.setattr(
        'mmw2s.distillation.teacher_outputs.TeacherOutputs._run', forbidden)
    hooked = train(
        run_config(
            pictures,
            tmp_path / 'hooked',
            hooks=[
                hook(
                    teacher,
                    schedule=later,
                    stop=dict(type='SurpassTeacher', latest=None))
            ]))
    assert_same_weights(plain, hooked)


def test_with_workers_too_scoring_leaves_the_random_numbers_alone(
        pictures, teacher, tmp_path):
    flip = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='Resize', scale=(64, 64), keep_ratio=True),
        dict(type='PackDetInputs')
    ]
    runs = []
    for name, hooks in (('plain', []), ('hooked', [
            hook(teacher, stop=dict(type='SurpassTeacher', latest=0.01))
    ])):
        cfg = run_config(pictures, tmp_path / name, hooks=hooks)
        cfg.train_dataloader.dataset.pipeline = flip
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.update(num_workers=1, persistent_workers=True)
        # Distillation is off before the first step is made.
        if hooks:
            cfg.custom_hooks[0].schedule = dict(type='Constant', value=0.)
        runs.append(train(cfg))
    assert_same_weights(*runs)


def test_from_the_stop_on_training_is_bit_equal_to_training_without_it(
        pictures, teacher, tmp_path):
    distilled = train(
        run_config(
            pictures,
            tmp_path / 'w2s',
            epochs=4,
            hooks=[hook(teacher, stop=dict(type='At', epoch=2))]))
    # The same state, gone on with by a run that knows nothing of mmw2s.
    plain = train(
        run_config(
            pictures,
            tmp_path / 'plain',
            epochs=4,
            resume=True,
            load_from=str(tmp_path / 'w2s' / 'epoch_2.pth')))
    assert_same_weights(distilled, plain)


# -- promise 2: the teacher is scored once and fits ----------------------


def test_the_teacher_is_scored_once_and_its_score_decides(
        pictures, teacher, tmp_path):
    train(run_config(pictures, tmp_path, hooks=[hook(teacher)]))
    (row, ) = rows(tmp_path, 'teacher')
    alone = Runner.from_cfg(
        run_config(
            pictures,
            tmp_path / 'val',
            model=retinanet(18),
            load_from=teacher['checkpoint'],
            experiment_name='alone'))
    assert row['score'] == alone.val()['coco/bbox_mAP']
    assert row['metric'] == 'coco/bbox_mAP'


def test_a_score_far_from_the_declared_one_ends_the_run(
        pictures, teacher, tmp_path):
    cfg = run_config(
        pictures, tmp_path, hooks=[hook(dict(teacher, score=0.95))])
    with pytest.raises(ValueError, match='teacher.score says 0.9500'):
        train(cfg)


def test_a_declared_score_does_not_end_a_resumed_run_of_another_measure(
        pictures, teacher, tmp_path):
    on = hook(
        dict(teacher, score=0.1),
        stop=dict(
            type='SurpassOnTrain', interval=1, min_looks=99, latest=None),
        schedule=dict(type='Constant', value=1.))
    train(run_config(pictures, tmp_path, hooks=[on], epochs=1))
    train(run_config(pictures, tmp_path, hooks=[on], epochs=2, resume=True))
    assert rows(tmp_path, 'teacher')


def test_a_teacher_of_other_classes_is_refused_before_it_is_scored(
        pictures, tmp_path, monkeypatch):
    monkeypatch.setattr('mmw2s.engine.session.score_teacher',
                        lambda *args: pytest.fail('scored'))
    other = dict(
        config=dict(default_scope='mmdet', model=retinanet(18, num_classes=5)),
        checkpoint=None)
    with pytest.raises(ValueError, match='has 5 classes, the student\'s 2'):
        train(
            run_config(pictures, tmp_path, hooks=[hook(other, distill=[CLS])]))


def test_the_same_number_of_classes_under_other_names_is_refused(
        pictures, teacher, tmp_path):
    checkpoint = torch.load(teacher['checkpoint'], weights_only=False)
    checkpoint['meta']['dataset_meta']['classes'] = ('bar', 'box')
    torch.save(checkpoint, tmp_path / 'swapped.pth')
    swapped = dict(teacher, checkpoint=str(tmp_path / 'swapped.pth'))
    with pytest.raises(ValueError, match="0: 'bar' against 'box'"):
        train(
            run_config(
                pictures,
                tmp_path / 'run',
                hooks=[hook(swapped, distill=[CLS])]))
    # Left to itself, the hook takes what does not tell classes.
    _, seen = train_watched(
        run_config(
            pictures, tmp_path / 'default', epochs=1, hooks=[hook(swapped)]),
        lambda runner, outputs: {k
                                 for k in outputs if 'kd' in k})
    assert seen[0] == {'loss_kd_fpn'}
    features = [
        dict(knowledge=dict(type='FPNFeatures'), loss=dict(type='PKDLoss'))
    ]
    cfg = run_config(
        pictures,
        tmp_path / 'features',
        epochs=2,
        hooks=[hook(swapped, distill=features)])
    runner = train(cfg)
    # Its score by the student's classes would say nothing of it.
    assert rows(tmp_path / 'features', 'teacher')[0]['score'] is None
    stop, = rows(tmp_path / 'features', 'stop')
    assert stop['iter'] == runner.max_iters // 2
    cfg.custom_hooks = [
        hook(swapped, distill=features, stop=dict(type='SurpassTeacher'))
    ]
    with pytest.raises(ValueError, match='other classes, or in another order'):
        train(cfg)


def test_two_of_the_hooks_are_refused(pictures, teacher, tmp_path):
    with pytest.raises(ValueError, match='more than one WeakTeacherDist'):
        train(
            run_config(
                pictures, tmp_path, hooks=[hook(teacher),
                                           hook(teacher)]))


def test_a_validation_that_is_repeated_counts_once(pictures, teacher,
                                                   tmp_path):

    class Again(Hook):

        def after_val_epoch(self, runner, metrics=None):
            distill, = (
                h for h in runner.hooks
                if isinstance(h, WeakTeacherDistillHook))
            distill.after_val_epoch(runner, metrics)

    stop = dict(
        type='SurpassTeacher',
        metric='coco/bbox_mAP',
        teacher_score=-1.,
        latest=1.)
    cfg = run_config(
        pictures, tmp_path, epochs=3, hooks=[hook(teacher, stop=stop)])
    cfg.experiment_name = uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Again(), priority='LOWEST')
    runner.train()
    validated = [row['iter'] for row in rows(tmp_path, 'val')]
    assert len(validated) == len(set(validated)) == 2


def test_a_metric_that_validation_does_not_give_is_refused(
        pictures, teacher, tmp_path):
    stop = dict(type='SurpassTeacher', metric='coco/box_mAP')
    with pytest.raises(ValueError, match='evaluator gives coco/bbox_mAP, '):
        train(run_config(pictures, tmp_path, hooks=[hook(teacher, stop=stop)]))


def test_a_rule_on_validations_needs_a_validation(pictures, teacher, tmp_path):
    cfg = run_config(
        pictures,
        tmp_path,
        hooks=[hook(teacher, stop=dict(type='SurpassTeacher'))])
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg.pop(key)
    with pytest.raises(ValueError, match='the run has none'):
        train(cfg)
    # Left to itself, the hook takes a rule that needs none.
    cfg.custom_hooks = [hook(teacher)]
    train(cfg)
    assert rows(tmp_path, 'stop')[0]['metric'] == 'training loss'


def test_an_unknown_field_of_a_part_names_the_nearest_one_and_no_more(
        pictures, teacher, tmp_path):
    cfg = run_config(
        pictures, tmp_path, hooks=[hook(teacher, schedule=dict(hald=0.3))])
    with pytest.raises(ValueError, match='did you mean "hold"[?]$'):
        train(cfg)


def test_unknown_fields_name_the_nearest_one():
    with pytest.raises(TypeError, match='did you mean "teacher"'):
        HOOKS.build(hook('x', teachr='y'))
    with pytest.raises(TypeError, match='did you mean "checkpoint"'):
        HOOKS.build(hook(dict(config='x', chekpoint='y')))
    with pytest.raises(ValueError, match='the key "config"'):
        HOOKS.build(hook(dict(checkpoint='y')))
    with pytest.raises(TypeError, match='did you mean "consecutive"'):
        HOOKS.build(hook('x', stop=dict(type='SurpassTeacher', consecutiv=3)))
    with pytest.raises(KeyError, match='did you mean "SurpassTeacher"'):
        HOOKS.build(hook('x', stop=dict(type='SurpasTeacher')))


@pytest.mark.parametrize('weight', [-1., float('nan')])
def test_a_bad_weight_of_the_task_is_refused(weight):
    with pytest.raises(ValueError, match='task_weight should be'):
        WeakTeacherDistillHook('x', task_weight=weight)


@MODELS.register_module()
class ForwardIsNotCalled(BaseModel):
    """A model whose train_step goes past its own forward hooks."""

    def __init__(self, detector):
        super().__init__(detector.get('data_preprocessor'))
        self.detector = MODELS.build(detector)

    def train_step(self, data, optim_wrapper):
        data = self.data_preprocessor(data, True)
        losses = self.detector.loss(data['inputs'], data['data_samples'])
        loss, log_vars = self.parse_losses(losses)
        optim_wrapper.update_params(loss)
        return log_vars

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.detector(inputs, data_samples, mode)


def test_a_model_whose_forward_never_reaches_the_hook_is_told(
        pictures, teacher, tmp_path):
    inside = dict(
        config=dict(
            default_scope='mmdet',
            model=dict(type='ForwardIsNotCalled', detector=retinanet(18))),
        checkpoint=None)
    cfg = run_config(
        pictures,
        tmp_path,
        model=dict(type='ForwardIsNotCalled', detector=retinanet(18)),
        hooks=[
            hook(
                inside,
                stop=NEVER,
                distill=[
                    dict(
                        knowledge=dict(
                            type='FPNFeatures', module='detector.neck'),
                        loss=dict(type='PKDLoss'))
                ])
        ])
    with pytest.raises(RuntimeError, match='never reached the hook'):
        train(cfg)


# -- promise 3: a resumed run decides the same ---------------------------


class Killed(Exception):
    pass


@HOOKS.register_module()
class KillAt(Hook):
    """Ends the process's run between a checkpoint and its validation."""
    priority = 'LOWEST'

    def __init__(self, epoch):
        self.epoch = epoch

    def after_train_epoch(self, runner):
        if runner.epoch + 1 == self.epoch:
            raise Killed


# The given score is beaten from the first validation on, whatever it is.
SURPASSED = dict(
    type='SurpassTeacher',
    metric='coco/bbox_mAP',
    teacher_score=-1.,
    consecutive=2,
    latest=None)


@pytest.mark.parametrize('cut', [1, 2, 3])
def test_a_run_killed_before_a_validation_decides_as_the_unbroken_one(
        pictures, teacher, tmp_path, cut):
    auto = [
        dict(
            knowledge=dict(type='FPNFeatures'),
            loss=dict(type='PKDLoss', loss_weight='auto'))
    ]
    distill = hook(teacher, stop=SURPASSED, distill=auto)
    whole = train(
        run_config(pictures, tmp_path / 'whole', epochs=4, hooks=[distill]))
    with pytest.raises(Killed):
        train(
            run_config(
                pictures,
                tmp_path / 'cut',
                epochs=4,
                hooks=[distill, dict(type='KillAt', epoch=cut)]))
    resumed = train(
        run_config(
            pictures, tmp_path / 'cut', epochs=4, hooks=[distill],
            resume=True))
    for event, keys in (('val', ('iter', 'metrics')),
                        ('stop', ('iter', 'epoch', 'reason', 'student'))):
        resumed_rows, whole_rows = (
            rows(tmp_path / name, event) for name in ('cut', 'whole'))
        assert [[r[k] for k in keys] for r in resumed_rows] == \
            [[r[k] for k in keys] for r in whole_rows]
    assert rows(tmp_path / 'cut', 'stop')[0]['iter'] == 8
    assert_same_weights(whole, resumed)


def test_rows_beyond_the_loaded_checkpoint_are_trained_anew(
        pictures, teacher, tmp_path):
    distill = hook(teacher, stop=SURPASSED)
    train(run_config(pictures, tmp_path, epochs=4, hooks=[distill]))
    before = rows(tmp_path, 'stop')
    train(
        run_config(
            pictures,
            tmp_path,
            epochs=4,
            hooks=[distill],
            resume=True,
            load_from=str(tmp_path / 'epoch_1.pth')))
    after = rows(tmp_path, 'stop')
    assert len(before) == len(after) == 1
    assert before[0]['iter'] == after[0]['iter']


def test_a_run_resumed_after_its_stop_stays_off(pictures, teacher, tmp_path,
                                                monkeypatch):
    distill = hook(teacher, stop=dict(type='At', epoch=1))
    train(run_config(pictures, tmp_path, epochs=2, hooks=[distill]))
    monkeypatch.setattr('mmw2s.engine.assembly.FrozenTeacher.from_cfg',
                        lambda cfg: pytest.fail('a teacher was built'))
    _, seen = train_watched(
        run_config(pictures, tmp_path, epochs=3, hooks=[distill],
                   resume=True), lambda runner, outputs:
        [k for k in runner.message_hub.log_scalars if 'kd' in k or 'w2s' in k])
    assert seen == [[]] * 4


def test_a_run_resumed_with_other_weights_of_its_teacher_is_refused(
        pictures, teacher, tmp_path):
    file = tmp_path / 'teacher.pth'
    shutil.copy(teacher['checkpoint'], file)
    distill = hook(dict(teacher, checkpoint=str(file)), stop=NEVER)
    train(run_config(pictures, tmp_path, epochs=1, hooks=[distill]))
    (row, ) = rows(tmp_path, 'teacher')
    assert len(row['weights_hash']) == len(row['config_hash']) == 64
    checkpoint = torch.load(file, weights_only=False)
    checkpoint['state_dict']['bbox_head.retina_cls.bias'] += 1
    torch.save(checkpoint, file)
    with pytest.raises(
            ValueError,
            match='began with the teacher RetinaNet .*teacher.pth'
            '.*of other weights'):
        train(
            run_config(
                pictures, tmp_path, epochs=2, hooks=[distill], resume=True))


def test_only_true_trusts_before_anything_is_built():
    with pytest.raises(ValueError, match="True or False, but got 'no'"):
        WeakTeacherDistillHook(
            teacher=dict(config='a.py', trust_checkpoint='no'))


def test_a_stop_that_a_kill_kept_from_being_written_is_made_up_for(
        pictures, teacher, tmp_path):
    distill = hook(teacher, stop=SURPASSED)
    train(run_config(pictures, tmp_path, epochs=2, hooks=[distill]))
    path = tmp_path / EVENTS
    kept = [x for x in path.read_text().splitlines() if '"stop"' not in x]
    path.write_text('\n'.join(kept) + '\n')
    train(
        run_config(pictures, tmp_path, epochs=3, hooks=[distill], resume=True))
    assert [r['iter'] for r in rows(tmp_path, 'stop')] == [8]


def test_a_hook_added_to_a_resumed_run_scores_its_teacher(
        pictures, teacher, tmp_path):
    train(run_config(pictures, tmp_path, epochs=1))
    train(
        run_config(
            pictures, tmp_path, epochs=2, resume=True, hooks=[hook(teacher)]))
    (row, ) = rows(tmp_path, 'teacher')
    assert row['iter'] == 4 and row['score'] is not None
    # The validation at which it joined is run for it.
    assert [r['iter'] for r in rows(tmp_path, 'val')] == [4]
    # In this order alone can it be resumed once more.
    check_rows(rows(tmp_path), 'the record')


def test_a_part_of_the_stop_rule_may_be_another_on_resume(
        pictures, teacher, tmp_path):

    def distill(**stop):
        return [hook(teacher, stop=stop)]

    train(
        run_config(
            pictures,
            tmp_path,
            epochs=2,
            hooks=distill(consecutive=9, margin=-1., latest=1.)))
    train(
        run_config(
            pictures,
            tmp_path,
            epochs=3,
            hooks=distill(consecutive=1, margin=-1., latest=1.),
            resume=True))
    (row, ) = rows(tmp_path, 'stop')
    assert row['iter'] == 8 and row['reason'].endswith('in 1 validation')
    # The first validation decided, but the teacher stayed until the second.
    check_rows(rows(tmp_path), 'the record')


def test_a_new_run_keeps_the_record_of_an_older_one(pictures, teacher,
                                                    tmp_path):
    for _ in range(2):
        train(run_config(pictures, tmp_path, epochs=1, hooks=[hook(teacher)]))
    assert osp.exists(tmp_path / EVENTS.replace('.', '.1.'))
    assert len(rows(tmp_path, 'teacher')) == 1


# -- promise 5: after the stop nothing is left ---------------------------


def test_after_the_stop_no_hook_no_teacher_and_no_scalar_is_left(
        pictures, teacher, tmp_path):
    alive = []

    def look(runner, outputs):
        hooks = [
            h for h in runner.hooks if isinstance(h, WeakTeacherDistillHook)
        ]
        if hooks[0].distiller is not None and not alive:
            alive.append(weakref.ref(hooks[0].distiller.teacher.model))
        kd = [
            k for k in (*outputs, *runner.message_hub.log_scalars)
            if 'kd' in k or 'w2s' in k
        ]
        attached = sum(len(m._forward_hooks) for m in runner.model.modules())
        return bool(kd), attached

    _, seen = train_watched(
        run_config(
            pictures,
            tmp_path,
            epochs=3,
            hooks=[hook(teacher, stop=dict(type='At', iter=5))]), look)
    assert [kd for kd, _ in seen] == [True] * 5 + [False] * 7
    assert all(count == 0 for _, count in seen[5:])
    gc.collect()
    assert alive[0]() is None


def test_the_stop_is_one_log_line_with_epoch_scores_and_milliseconds(
        pictures, teacher, tmp_path):
    cfg = run_config(
        pictures, tmp_path, epochs=3, hooks=[hook(teacher, stop=SURPASSED)])
    cfg.log_level = 'INFO'
    runner = train(cfg)
    log = open(osp.join(runner.log_dir, f'{runner.timestamp}.log')).read()
    (line, ) = [x for x in log.split('\n') if 'switched off for good' in x]
    assert 'at epoch 2.00, iteration 8' in line
    assert 'teacher -1.0000' in line and ' ms' in line


def test_a_schedule_that_has_reached_0_for_good_is_a_stop(
        pictures, teacher, tmp_path):
    short = dict(
        type='WarmupHoldDecay', warmup=0, hold=2, decay=1, unit='iter')
    train(
        run_config(
            pictures,
            tmp_path,
            epochs=2,
            hooks=[hook(teacher, schedule=short, stop=NEVER)]))
    (row, ) = rows(tmp_path, 'stop')
    assert row['iter'] == 3 and 'schedule' in row['reason']


@pytest.mark.parametrize('schedule, warned', [
    (None, True),
    (dict(type='WarmupHoldDecay', warmup=0.02, unit='run'), False),
])
def test_a_stop_that_the_default_schedule_is_ahead_of_is_told(
        pictures, teacher, tmp_path, schedule, warned):
    runner = train(
        run_config(
            pictures,
            tmp_path,
            epochs=2,
            hooks=[
                hook(
                    teacher, schedule=schedule, stop=dict(type='At', epoch=1))
            ]))
    log = open(osp.join(runner.log_dir, f'{runner.timestamp}.log')).read()
    assert ('lies beyond iteration 2, at which the default' in log) == warned
    assert rows(tmp_path, 'stop')[0]['iter'] == (2 if warned else 4)


def test_strength_temperature_and_teacher_time_reach_the_visualizer(
        pictures, teacher, tmp_path):
    distill = [
        dict(
            knowledge=dict(type='DenseHeadOutputs'),
            loss=dict(type='QualityFocalKDLoss'),
            temperature=dict(
                type='Linear', start=6., end=1., length=1, unit='epoch'))
    ]
    runner = train(
        run_config(
            pictures,
            tmp_path,
            epochs=3,
            hooks=[
                hook(teacher, distill=distill, stop=dict(type='At', iter=6))
            ]))
    path = osp.join(runner.log_dir, 'vis_data', 'scalars.json')
    logged = [json.loads(line) for line in open(path)]
    logged = [row for row in logged if 'loss' in row]
    assert [row.get('w2s/on') for row in logged] == [1.] * 6 + [None] * 6
    assert logged[0]['w2s/temperature_cls'] == 6.
    assert logged[4]['w2s/temperature_cls'] == 1.
    assert logged[1]['w2s/teacher_ms'] > 0
    assert 'loss_kd_cls' in logged[5] and 'loss_kd_cls' not in logged[6]


# -- promise 6: the checkpoint is the student's alone ---------------------


def test_the_teacher_is_not_in_the_students_checkpoint(pictures, teacher,
                                                       tmp_path):
    train(run_config(pictures, tmp_path / 'plain', epochs=1))
    train(
        run_config(
            pictures,
            tmp_path / 'w2s',
            epochs=1,
            hooks=[hook(teacher, stop=NEVER)]))
    plain, w2s = (
        torch.load(tmp_path / name / 'epoch_1.pth', weights_only=False)
        for name in ('plain', 'w2s'))
    assert plain['state_dict'].keys() == w2s['state_dict'].keys()
    assert plain['optimizer']['param_groups'] == \
        w2s['optimizer']['param_groups']
    assert w2s.keys() - plain.keys() == {'w2s'}


def test_a_checkpoint_names_nothing_of_mmw2s(pictures, teacher, tmp_path):
    auto = [dict(FPN, loss=dict(type='PKDLoss', loss_weight='auto'))]
    hooks = [
        hook(teacher, distill=auto, stop=NEVER),
        dict(type='TimeToTargetHook')
    ]
    train(run_config(pictures, tmp_path, epochs=1, hooks=hooks))
    path = tmp_path / 'epoch_1.pth'
    assert {'w2s', 'time_to_target'} <= \
        torch.load(path, weights_only=False).keys()
    # What unpickling it would import.
    named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    assert named and not [n for n in named if n.startswith('mmw2s')]


def test_an_ema_copy_does_not_hold_the_teacher(pictures, teacher, tmp_path):
    runner = train(
        run_config(
            pictures,
            tmp_path,
            epochs=1,
            hooks=[hook(teacher, stop=NEVER),
                   dict(type='EMAHook')]))
    ema = next(h for h in runner.hooks if type(h).__name__ == 'EMAHook')
    assert len(list(ema.ema_model.module.parameters())) == \
        len(list(runner.model.parameters()))
    assert not any(m._forward_hooks for m in ema.ema_model.modules())


# -- other loops, other sets ----------------------------------------------


@STOP_RULES.register_module()
class AtWithoutAnEnd(At):
    """A rule of a user's own that does not say when it ends."""

    def ends_at(self):
        return None


def test_a_rule_that_does_not_tell_its_end_is_asked_in_every_iteration(
        pictures, teacher, tmp_path):
    stop = dict(type='AtWithoutAnEnd', iter=2)
    train(
        run_config(
            pictures, tmp_path, epochs=1, hooks=[hook(teacher, stop=stop)]))
    assert [r['iter'] for r in rows(tmp_path, 'stop')] == [2]


def test_iteration_based_loops_stop_and_resume_alike(pictures, teacher,
                                                     tmp_path):
    distill = hook(teacher, stop=SURPASSED)
    cfg = run_config(pictures, tmp_path, hooks=[distill])
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=8, val_interval=2)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=2)
    train(copy.deepcopy(cfg))
    assert rows(tmp_path, 'stop')[0]['iter'] == 4
    cfg.resume, cfg.load_from = True, str(tmp_path / 'iter_2.pth')
    train(cfg)
    assert [r['iter'] for r in rows(tmp_path, 'val')] == [2, 4]
    assert rows(tmp_path, 'stop')[0]['iter'] == 4


def test_the_stop_can_be_decided_on_a_held_out_validation_set(
        pictures, teacher, tmp_path):
    cfg = run_config(
        pictures,
        tmp_path,
        epochs=1,
        hooks=[
            hook(
                teacher,
                stop=dict(
                    type='SurpassTeacher', metric='heldout/coco/bbox_mAP'))
        ])
    one = cfg.val_dataloader.dataset
    cfg.val_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[one, copy.deepcopy(one)])
    metric = dict(cfg.val_evaluator)
    cfg.val_evaluator = dict(
        type='MultiDatasetsEvaluator',
        metrics=[metric, dict(metric)],
        dataset_prefixes=['reported', 'heldout'])
    train(cfg)
    assert rows(tmp_path, 'teacher')[0]['metric'] == 'heldout/coco/bbox_mAP'


def test_training_losses_can_decide_and_are_recorded(pictures, teacher,
                                                     tmp_path):
    stop = dict(type='SurpassOnTrain', interval=2, min_looks=2, margin=-9.)
    train(run_config(pictures, tmp_path, hooks=[hook(teacher, stop=stop)]))
    assert [r['iter'] for r in rows(tmp_path, 'train')] == [2, 4]
    assert rows(tmp_path, 'stop')[0]['iter'] == 4


def test_a_loss_that_is_not_finite_ends_the_run(pictures, teacher, tmp_path,
                                                monkeypatch):
    calls = []

    def broken(self, student, teacher, *args):
        calls.append(1)
        return student.sum() * (float('nan') if len(calls) > 9 else 0.)

    monkeypatch.setattr('mmw2s.models.losses.PKDLoss.compute', broken)
    with pytest.raises(FloatingPointError, match='loss_kd_fpn is not finite'):
        train(
            run_config(pictures, tmp_path, hooks=[hook(teacher, stop=NEVER)]))


def test_building_leaves_every_random_state_as_it_was(pictures, teacher,
                                                      tmp_path):
    states = {}

    @HOOKS.register_module(force=True)
    class Look(Hook):

        def __init__(self, name):
            self.name = name

        def before_train(self, runner):
            states[self.name] = (torch.get_rng_state().tolist(),
                                 np.random.get_state()[1].tolist(),
                                 random.getstate())

    train(
        run_config(
            pictures,
            tmp_path,
            epochs=1,
            hooks=[
                dict(type='Look', name='before', priority='VERY_HIGH'),
                hook(teacher),
                dict(type='Look', name='after', priority='LOW')
            ]))
    assert states['before'] == states['after']
