# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Entries of ``distill`` with a schedule or a stop of their own."""
import pytest
import torch
from builders import teacher_field
from mmengine.registry import HOOKS
from runs import assert_same_weights, find, rows, train, train_watched
from tiny_classifiers import classifier, run_config

from mmw2s.distillation.teacher_outputs import TeacherOutputs
from mmw2s.engine import WeakTeacherDistillHook
from mmw2s.records.events import check_rows

HIDDEN = dict(
    knowledge=dict(type='HiddenFeatures', adapter='trained'),
    loss=dict(type='PKDLoss', loss_weight='auto'))
LOGITS = dict(
    knowledge=dict(type='ClassLogits'),
    loss=dict(type='DKDLoss'),
    temperature=dict(type='DynamicTemperature'))
FULL = dict(type='Constant', value=1.)
NEVER = dict(type='At', iter=10**6)


def stage(begin=0, end=None):
    return dict(type='Within', begin=begin, end=end, unit='iter')


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return teacher_field(
        classifier(4),
        tmp_path_factory.mktemp('teacher') / 'teacher.pth',
        scope='mmpretrain')


def config(work_dir, teacher, *distill, epochs=3, **fields):
    fields = {**dict(schedule=FULL, stop=NEVER), **fields}
    return run_config(work_dir, epochs, [
        dict(
            type='WeakTeacherDistillHook',
            teacher=teacher,
            distill=list(distill),
            **fields)
    ])


def kd_losses(runner, outputs):
    return {
        key[len('loss_kd_'):]: value.item() != 0
        for key, value in outputs.items() if key.startswith('loss_kd_')
    }


def ends(work_dir):
    return [(row['entry'], row['iter'], row['reason'])
            for row in rows(work_dir, 'entry_stop')]


def calls(model):
    """Which of the two modules was called in each forward of a model."""
    called = []
    for name in ('backbone', 'head'):
        model.get_submodule(name).register_forward_pre_hook(
            lambda *_, name=name: called.append(name))
    return called


@pytest.fixture
def look():
    """What to watch: the losses, and which modules of the teacher ran."""
    called = []

    def look(runner, outputs):
        hook = find(runner, WeakTeacherDistillHook)
        if not called:
            called.append(calls(hook.distiller.teacher.model))
        names = set(called[0])
        called[0].clear()
        return kd_losses(runner, outputs), names

    return look


def test_features_come_first_and_scores_later(teacher, tmp_path, look):

    def look_at_log_too(runner, outputs):
        hub = runner.message_hub.log_scalars
        return (*look(runner, outputs), 'train/w2s/strength_hidden' in hub)

    cfg = config(tmp_path, teacher, dict(HIDDEN, schedule=stage(0, 5)),
                 dict(LOGITS, schedule=stage(5)))
    _, seen = train_watched(cfg, look_at_log_too)
    first, later = seen[1:5], seen[5:]
    assert all(losses == dict(hidden=True, logits=False)
               and names == {'backbone'} and shown
               for losses, names, shown in first)
    assert all(losses == dict(logits=True) and not shown
               for losses, _, shown in later)
    assert all('head' in names for _, names, _ in later)
    assert ends(tmp_path) == [('loss_kd_hidden', 5,
                               'its schedule has reached 0')]
    check_rows(rows(tmp_path), 'the record')


def test_what_is_needed_by_an_entry_that_waits_alone_is_not_recorded(
        teacher, tmp_path, monkeypatch):
    watched = []
    taken = TeacherOutputs.__init__

    def noted(outputs, *args, **kwargs):
        watched.append(tuple(kwargs['names']))
        taken(outputs, *args, **kwargs)

    monkeypatch.setattr(TeacherOutputs, '__init__', noted)
    cfg = config(
        tmp_path, teacher, HIDDEN, dict(LOGITS, schedule=stage(2)), epochs=1)

    def recorded(runner, outputs):
        return find(runner, WeakTeacherDistillHook).distiller._recorder.names

    _, seen = train_watched(cfg, recorded)
    assert watched == [('backbone', )] * 2 + [('backbone', 'head')] * 2
    assert seen[-1] == ('backbone', 'head')


def test_nothing_runs_for_an_entry_whose_loss_has_no_weight(
        teacher, tmp_path, look):
    silent = dict(LOGITS, loss=dict(type='DKDLoss', loss_weight=0.))
    cfg = config(tmp_path, teacher, HIDDEN, silent, epochs=1)
    _, seen = train_watched(cfg, look)
    assert seen[1:] == [(dict(hidden=True, logits=False), {'backbone'})] * 3


def test_the_share_of_an_entry_is_a_factor_of_the_strength(teacher, tmp_path):
    seen = {}
    for share in (1., 0.25):
        plain = dict(LOGITS, loss=dict(type='DKDLoss'))
        cfg = config(
            tmp_path / f'{share}',
            teacher,
            dict(plain, schedule=dict(type='Constant', value=share)),
            dict(plain, name='other'),
            epochs=1,
            schedule=dict(type='Constant', value=0.5))
        _, losses = train_watched(
            cfg, lambda runner, outputs: {
                key: value.item()
                for key, value in outputs.items() if 'kd' in key
            })
        seen[share] = losses[0]
    assert seen[0.25]['loss_kd_logits'] == pytest.approx(
        seen[1.]['loss_kd_logits'] / 4, rel=1e-5)
    assert seen[0.25]['loss_kd_other'] == seen[1.]['loss_kd_other']


def test_while_all_entries_wait_it_is_as_without_the_hook(
        teacher, tmp_path, monkeypatch):
    plain = train(run_config(tmp_path / 'plain', 2))

    def forbidden(*args, **kwargs):
        raise AssertionError('the teacher ran')

    for name in ('_run', '_run_whole'):
        monkeypatch.setattr(TeacherOutputs, name, forbidden)
    hooked = train(
        config(
            tmp_path / 'hooked',
            teacher,
            dict(HIDDEN, schedule=stage(1000)),
            dict(LOGITS, schedule=stage(2000)),
            epochs=2,
            task_weight=0.5))
    assert_same_weights(plain, hooked)


def test_when_the_last_entry_has_ended_so_has_the_whole(teacher, tmp_path):
    runner = train(
        config(tmp_path, teacher, dict(HIDDEN, stop=dict(type='At', iter=3)),
               dict(LOGITS, schedule=stage(0, 6))))
    assert [end[:2] for end in ends(tmp_path)] == [('loss_kd_hidden', 3),
                                                   ('loss_kd_logits', 6)]
    stop, = rows(tmp_path, 'stop')
    assert stop['iter'] == 6
    assert stop['reason'] == 'each entry of distill has ended'
    assert find(runner, WeakTeacherDistillHook).distiller is None


SURPASS = dict(
    type='SurpassTeacher',
    metric='accuracy/top1',
    consecutive=1,
    margin=-100.,
    latest=None)


def test_an_entry_may_end_by_a_validation(teacher, tmp_path):
    train(config(tmp_path, teacher, dict(HIDDEN, stop=SURPASS), LOGITS))
    (key, done, reason), = ends(tmp_path)
    assert (key, done) == ('loss_kd_hidden', 4)
    assert reason == 'the student surpassed the teacher in 1 validation'
    teacher_row, = rows(tmp_path, 'teacher')
    assert 'accuracy/top1' in teacher_row['metrics']
    assert not rows(tmp_path, 'stop')


@pytest.mark.parametrize('cut', [1, 2])
def test_a_resumed_run_ends_its_entries_as_the_unbroken_one(
        teacher, tmp_path, cut):
    entries = (dict(HIDDEN, stop=SURPASS), dict(LOGITS, schedule=stage(2, 10)))
    whole = train(config(tmp_path, teacher, *entries))
    before = ends(tmp_path)
    assert [end[:2] for end in before] == [('loss_kd_hidden', 4),
                                           ('loss_kd_logits', 10)]
    again = config(tmp_path, teacher, *entries)
    again.resume, again.load_from = True, str(tmp_path / f'epoch_{cut}.pth')
    resumed, seen = train_watched(again, kd_losses)
    assert_same_weights(whole, resumed)
    assert ends(tmp_path) == before
    assert seen[0] == dict(logits=True)


def test_an_entry_takes_its_turns_with_the_whole(teacher, tmp_path):
    cfg = config(
        tmp_path, teacher, dict(LOGITS, schedule=stage(3, 9)), HIDDEN, every=2)
    _, seen = train_watched(cfg, kd_losses)
    acts = [losses.get('logits') for losses in seen]
    assert acts == [
        False, False, False, False, True, False, True, False, True, None, None,
        None
    ]


def test_adapters_of_an_entry_that_has_ended_are_gone(teacher, tmp_path):
    train(
        config(tmp_path, teacher, dict(HIDDEN, schedule=stage(0, 6)), LOGITS))
    for epoch, kept in ((1, True), (2, False)):
        state = torch.load(
            tmp_path / f'epoch_{epoch}.pth', weights_only=False)['w2s']
        assert ('loss_kd_hidden' in state) == kept


@pytest.mark.parametrize('field, given, message', [
    ('schedule', dict(type='DynamicTemperature'), r'distill\[0\].schedule='
     'DynamicTemperature is no strength'),
    ('schedule', dict(type='Within', begin=3, end=2), r'distill\[0\].schedule '
     r'\(Within\).end should be after begin'),
    ('stop', dict(type='At'), r'distill\[0\].stop \(At\) should have'),
    ('temperature', dict(type='FollowGap'), r'distill\[0\].temperature: '
     'FollowGap is a strength'),
])
def test_wrong_fields_of_an_entry_are_refused_by_their_path(
        field, given, message):
    with pytest.raises(ValueError, match=message):
        HOOKS.build(
            dict(
                type='WeakTeacherDistillHook',
                teacher='x',
                distill=[dict(LOGITS, **{field: given})]))


def test_a_rule_of_an_entry_that_the_run_cannot_answer_is_refused(
        teacher, tmp_path):
    cfg = config(tmp_path, teacher, dict(LOGITS, stop=SURPASS))
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    with pytest.raises(
            ValueError,
            match=r'distill\[0\].stop=SurpassTeacher decides on validations'):
        train(cfg)
